"""What clean-up asks of an embedded instance that nobody uses: is there one, and take it away.

It takes the same locks as ``server``: ``server.lock`` alone keeps others from starting and leaving, and
whoever then gets ``users.lock`` alone knows that nobody uses the instance.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from export_core.sources.embedded.cluster import Cluster


def is_unused(directory: Path) -> bool:
    """Whether there is an embedded instance and no living process uses it."""
    if not directory.exists():
        return False
    with _unused(directory) as unused:
        return unused


def remove_if_unused(directory: Path) -> bool:
    """Stop the server and remove the instance with all projects in it; whether that was done."""
    if not directory.exists():
        return False
    aside = directory.with_name(f".removing-{directory.name}-{uuid.uuid4().hex[:8]}")
    with _unused(directory) as unused:
        if not unused:
            return False
        Cluster(directory).stop()
        directory.rename(aside)
    shutil.rmtree(aside)
    return True


@contextmanager
def _unused(directory: Path) -> Iterator[bool]:
    """Keep everybody else out for a moment; whether nobody uses the instance."""
    server = _open(directory / "server.lock")
    users = _open(directory / "users.lock")
    try:
        fcntl.flock(server, fcntl.LOCK_EX)
        yield _locked(users)
    finally:
        os.close(users)
        os.close(server)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
