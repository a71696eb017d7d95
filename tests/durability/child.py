"""``python -m tests.durability.child``: the real command line, with the fake source and points to die at."""

from cli.main import main
from tests import fake_source

fake_source.install()

if __name__ == "__main__":
    from tests.durability import kill_points

    kill_points.install()
    main()
