"""The demonstration project: written as an archive, loaded like any other."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from export_core.sources.embedded.demo_archive import write_demo_archive
from export_core.sources.embedded.demo_story import FULL_PATH
from export_core.sources.embedded.instance import EmbeddedInstance
from export_core.sources.embedded.loader import load_archive
from export_core.sources.embedded.loader_report import LoadReport


def load_demo(instance: EmbeddedInstance) -> LoadReport:
    """Make ``packmule/demo``, in place of an earlier one. The instance's session must be open.

    Raises GitFailed or SourceUnavailable where git is missing or does not work.
    """
    with tempfile.TemporaryDirectory(prefix="packmule-demo-") as scratch:
        archive = Path(scratch) / "demo.tar.gz"
        write_demo_archive(archive)
        if instance.project_exists(FULL_PATH):
            instance.delete_project(FULL_PATH)
        return load_archive(instance, archive, FULL_PATH)


@contextmanager
def one_at_a_time(instance: EmbeddedInstance, say: Callable[[str], None]) -> Iterator[None]:
    """Let no two demonstrations replace each other's project; the second waits."""
    descriptor = os.open(instance.home.embedded / "demo.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another packmule demo is running; this one waits for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
