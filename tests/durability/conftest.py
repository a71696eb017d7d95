"""Scenes: a home of its own for each test; embedded instances are made once and copied."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.durability.harness import FAKE, demo_scene
from tests.durability.scene import Scene, digest


@pytest.fixture
def scene() -> Iterator[Scene]:
    """With a small fake project."""
    made = Scene(lines=60, parts=4)
    yield made
    made.close()


@pytest.fixture
def large() -> Iterator[Scene]:
    """With a fake project of 23 MB, and nothing in the way."""
    made = Scene(**FAKE)
    yield made
    made.close()


@pytest.fixture
def wanted(large: Scene) -> str:
    """The digest of the archive when nothing is in the way."""
    target = large.out / "wanted.tar.gz"
    large.good("export", "a/b", "--source", "fake", "--to", str(target))
    return digest(target)


@pytest.fixture(scope="session")
def made_demo() -> Iterator[Scene]:
    """The demo project, never exported; only to be copied."""
    made, _ = demo_scene()
    made.nothing_is_left()
    yield made
    made.close()


@pytest.fixture
def demo(made_demo: Scene) -> Iterator[Scene]:
    """With the demo project ``packmule/demo`` in its embedded instance."""
    made = Scene()
    shutil.rmtree(made.home, ignore_errors=True)
    subprocess.run(["cp", "-a", str(made_demo.home), str(made.home)], check=True)
    yield made
    made.close()
