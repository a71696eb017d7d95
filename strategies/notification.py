"""The strategy ``notification``: the archive stays in packmule's own store, and its path is told.

The telling itself is ``strategies.notify``, which goes with every strategy.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from export_core.atomic import private_directory
from export_core.delivery import Archive, Checkpoint, Delivery, DeliveryContext
from export_core.errors import DestinationUnusable, UsageError
from export_core.job import Job
from strategies.local_file import check_directory, deliver_file, forget, holds
from strategies.surroundings import Surroundings
from strategies.words import Words


@dataclass(frozen=True, slots=True)
class Notification:
    """``store_dir`` is where packmule keeps archives; each job has a directory in it."""

    store_dir: str

    name: ClassVar[str] = "notification"
    wants_file: ClassVar[bool] = True
    destination: ClassVar[str | None] = None

    @classmethod
    def from_words(cls, words: Words) -> Self:
        """Needs ``store_dir``, which wiring always gives."""
        if words.store_dir is None:
            raise UsageError("strategy notification was not told where archives are kept")
        return cls(str(Path(words.store_dir).absolute()))

    @classmethod
    def from_options(cls, options: Mapping[str, Any], _surroundings: Surroundings) -> Self:
        """As stored with the job."""
        return cls(str(options["store_dir"]))

    @property
    def options(self) -> Mapping[str, Any]:
        """Plain JSON values."""
        return {"store_dir": self.store_dir}

    def check(self, job: Job, expected_size: int | None) -> None:  # noqa: ARG002 - the store is the same for all jobs
        """Make the store's directory and look at the room in it."""
        _make_private(Path(self.store_dir))
        check_directory(Path(self.store_dir), expected_size)

    def deliver(self, archive: Archive, context: DeliveryContext) -> Delivery:
        """Move the archive to ``<store_dir>/<job id>/<file name>``."""
        target = self._directory(context.job) / archive.file_name
        _make_private(Path(self.store_dir))
        _make_private(target.parent)
        deliver_file(archive, target, context, replace=True)
        return Delivery(str(target), local_path=str(target), in_store=True)

    def abandon(self, job: Job, checkpoint: Checkpoint) -> None:
        """Remove a half-written copy, and the job's directory if nothing is in it."""
        forget(checkpoint)
        with contextlib.suppress(OSError):
            self._directory(job).rmdir()

    def still_there(self, job: Job) -> bool:
        """Whether the archive is in the store, byte for byte."""
        found = job.archive
        if found is None or found.path is None:
            return False
        return holds(Path(found.path), size=found.size, sha256=found.sha256)

    def _directory(self, job: Job) -> Path:
        return Path(self.store_dir) / str(job.id)


def _make_private(directory: Path) -> None:
    """Make a directory that only its owner can enter, whatever the umask."""
    try:
        private_directory(directory)
    except OSError as exc:
        raise DestinationUnusable(
            f"packmule's store {directory} cannot be used: {exc.strerror}", hint="look at PACKMULE_HOME"
        ) from exc
