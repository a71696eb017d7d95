"""What many tests share. Other fixtures lie beside, in files named ``fix_*.py``."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from export_core.sources.embedded.instance import EmbeddedInstance
from export_core.workspace import Home


def pytest_configure() -> None:
    """Hear Ctrl-C and the end of a terminal, and let children hear them: a run begun in the background, or by
    nohup, inherits that they are ignored. Children's streams are buffered as a user's are: images of
    containers often say otherwise, and what is written late, and fails late, would never be tested.
    """
    os.environ.pop("PYTHONUNBUFFERED", None)
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedInstance]:
    """A running embedded instance, one for all tests of a worker: use project paths of your own."""
    instance = EmbeddedInstance(Home(tmp_path_factory.mktemp("home")))
    with instance.session():
        yield instance


@pytest.fixture(scope="session")
def shared() -> Path:
    """The facts and real archives beside the checkout; tests that need them skip where they are absent."""
    directory = Path(__file__).parents[2] / "shared"
    if not directory.is_dir():
        pytest.skip("the folder ../shared is not here")
    return directory
