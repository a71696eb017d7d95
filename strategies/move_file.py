"""The strategy ``move-file``: the archive becomes a file at a path that the user names."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from export_core.delivery import Archive, Checkpoint, Delivery, DeliveryContext
from export_core.errors import DestinationUnusable, UsageError
from export_core.job import Job
from strategies.local_file import already_there, check_directory, deliver_file, forget, holds, refusing
from strategies.surroundings import Surroundings
from strategies.words import Words


@dataclass(frozen=True, slots=True)
class MoveFile:
    """Options of move-file. ``to`` is absolute; a relative path is resolved when it is chosen."""

    to: str
    force: bool = False
    home: str | None = None

    name: ClassVar[str] = "move-file"
    wants_file: ClassVar[bool] = True

    @classmethod
    def from_words(cls, words: Words) -> Self:
        """From ``--to PATH`` and ``--force``. DestinationUnusable for a path that names a directory."""
        to = words.to or ""
        if not to or "\0" in to:
            raise UsageError(
                "the path to move the archive to is empty or not a path", hint="name a file with --to"
            )
        if to == "-":
            raise UsageError(
                "the archive cannot be written to standard output",
                hint="name a file with --to (./- for this name)",
            )
        path = Path(to).expanduser().absolute()
        with refusing(path):
            if to.endswith("/") or path.is_dir():
                raise _is_directory(path)
        return cls(str(path), words.force, words.home)

    @classmethod
    def from_options(cls, options: Mapping[str, Any], _surroundings: Surroundings) -> Self:
        """As stored with the job."""
        return cls(str(options["to"]), bool(options.get("force")), options.get("home"))

    @property
    def target(self) -> Path:
        """Where the archive goes."""
        return Path(self.to)

    @property
    def destination(self) -> str:
        """The path."""
        return self.to

    @property
    def options(self) -> Mapping[str, Any]:
        """Plain JSON values."""
        return {"to": self.to, "force": self.force, "home": self.home}

    def check(self, job: Job, expected_size: int | None) -> None:
        """Raise DestinationUnusable unless the file could be made right now."""
        with refusing(self.target):
            if self.target.is_dir():
                raise _is_directory(self.target)
            check_directory(self.target.parent, expected_size)
            self._refuse_own_directories()
            if _lexists(self.target):
                self._may_replace(job)

    def deliver(self, archive: Archive, context: DeliveryContext) -> Delivery:
        """Move it there; on another file system copy, make durable, rename, and only then remove it here."""
        deliver_file(archive, self.target, context, replace=self.force)
        return Delivery(self.to, local_path=self.to)

    def abandon(self, job: Job, checkpoint: Checkpoint) -> None:  # noqa: ARG002 - all is in the checkpoint
        """Remove a half-written copy; under the final name there never is one."""
        forget(checkpoint)

    def still_there(self, job: Job) -> bool:
        """Whether the file is there and is still the job's archive, byte for byte."""
        found = job.archive
        return found is not None and holds(self.target, size=found.size, sha256=found.sha256)

    def _may_replace(self, job: Job) -> None:
        """An existing target is fine if it may be replaced, or if this very job put it there."""
        if job.archive and holds(self.target, size=job.archive.size, sha256=job.archive.sha256):
            return
        if not self.force:
            raise already_there(self.target)
        if not stat.S_ISREG(self.target.lstat().st_mode):
            raise DestinationUnusable(
                f"{self.target} is not a regular file and is not replaced", hint="choose another --to"
            )

    def _refuse_own_directories(self) -> None:
        if self.home is None:
            return
        home, parent = Path(self.home).resolve(), self.target.parent.resolve()
        inside = any(parent.is_relative_to(home / name) for name in ("jobs", "archives", "embedded"))
        if inside or (parent == home and self.target.name.startswith("packmule.db")):
            raise DestinationUnusable(
                f"{self.target} lies among packmule's own files", hint="choose a --to outside of them"
            )


def _lexists(path: Path) -> bool:
    """Whether there is anything, a dangling link included."""
    return path.is_symlink() or path.exists()


def _is_directory(path: Path) -> DestinationUnusable:
    return DestinationUnusable(
        f"{path} is a directory; the archive needs a file name",
        hint=f"name a file, for example --to {path / 'project.tar.gz'}",
    )
