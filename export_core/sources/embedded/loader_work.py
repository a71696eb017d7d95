"""The work directory of one import, and what becomes of those whose process was killed.

While an import runs it holds a lock on its directory's ``lock`` file, which the kernel drops with the
process. Every place in the storage that it is about to make is written to ``made`` first. So whoever finds a
directory without an owner can undo it: an archive is loaded whole or not at all, after a kill as well.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True, slots=True)
class WorkDirectory:
    """The directory of one import."""

    root: Path

    def will_make(self, project_id: int, path: Path) -> None:
        """Say what is about to be made for a project that does not exist yet."""
        with (self.root / "made").open("a", encoding="utf-8", errors="surrogateescape") as journal:
            journal.write(f"{project_id} {path}\n")

    def undo(self) -> None:
        """Remove what was made."""
        for _, path in self.made():
            remove(path)

    def made(self) -> list[tuple[int, Path]]:
        """What was announced: (project, place)."""
        try:
            lines = (self.root / "made").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        except FileNotFoundError:
            return []
        pairs = (line.partition(" ") for line in lines)
        return [(int(project_id), Path(path)) for project_id, _, path in pairs if path]


@contextmanager
def work_directory(parent: Path) -> Iterator[WorkDirectory]:
    """A new private directory below ``parent``, removed at the end of the block."""
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    work = WorkDirectory(Path(tempfile.mkdtemp(prefix="load-", dir=parent)))
    lock = os.open(work.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield work
    finally:
        shutil.rmtree(work.root, ignore_errors=True)
        os.close(lock)


def undo_abandoned(parent: Path, connection: psycopg.Connection[Any]) -> None:
    """Undo the imports below ``parent`` whose process is gone. The caller holds the import lock."""
    for root in parent.glob("load-*"):
        try:
            lock = os.open(root / "lock", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:  # it has just begun, or just ended
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            work = WorkDirectory(root)
            if not any(_exists(connection, project_id) for project_id, _ in work.made()[:1]):
                work.undo()
            shutil.rmtree(root, ignore_errors=True)
        except BlockingIOError:  # its process lives
            continue
        finally:
            os.close(lock)


def remove(path: Path) -> None:
    """Remove a file or a directory with all in it; nothing happens when it is not there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _exists(connection: psycopg.Connection[Any], project_id: int) -> bool:
    found = connection.execute("SELECT 1 FROM projects WHERE id = %s", (project_id,)).fetchone()
    return found is not None
