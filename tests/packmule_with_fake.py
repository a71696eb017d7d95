"""``python -m tests.packmule_with_fake ...``: the real command line, with the fake source among its kinds."""

from cli.main import main
from tests import fake_source

if __name__ == "__main__":
    fake_source.install()
    main()
