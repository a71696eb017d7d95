"""``python -m tests.packmule_with_fake ...``: the real command line, with the fake source among its kinds."""

from cli.main import main
from tests import fake_source

fake_source.install()  # also in the processes of ``packmule work``, which import this module anew

if __name__ == "__main__":
    main()
