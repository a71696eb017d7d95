"""The strategy ``import-project`` into the embedded instance: ``--to embedded:group/new-project``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

from export_core.delivery import Archive, Checkpoint, Delivery, DeliveryContext
from export_core.errors import DestinationUnusable, UsageError
from export_core.gitlab.paths import check_full_path
from export_core.job import Job
from strategies.keeping import forget_kept, kept_on_failure
from strategies.project_path import taken
from strategies.surroundings import Surroundings
from strategies.words import Words

_SCHEME = "embedded:"


@dataclass(frozen=True, slots=True)
class ImportEmbedded:
    """``to`` is ``embedded:group/project``; ``store_dir`` is where the archive is kept when this fails."""

    to: str
    store_dir: str | None = None
    surroundings: Surroundings = field(default_factory=Surroundings, repr=False, compare=False)

    name: ClassVar[str] = "import-project"
    wants_file: ClassVar[bool] = True

    @classmethod
    def from_words(cls, words: Words) -> Self:
        """From ``--to embedded:group/project``. Raises UsageError."""
        path = check_full_path((words.to or "").removeprefix(_SCHEME))
        return cls(_SCHEME + path, words.store_dir)

    @classmethod
    def from_options(cls, options: Mapping[str, Any], surroundings: Surroundings) -> Self:
        """As stored with the job."""
        return cls(str(options["to"]), options.get("store_dir"), surroundings)

    @property
    def destination(self) -> str:
        """``embedded:group/project``."""
        return self.to

    @property
    def options(self) -> Mapping[str, Any]:
        """Plain JSON values."""
        return {"to": self.to, "store_dir": self.store_dir}

    @property
    def path(self) -> str:
        """The new project's full path."""
        return self.to.removeprefix(_SCHEME)

    def check(self, job: Job, expected_size: int | None) -> None:  # noqa: ARG002 - room is looked at elsewhere
        """Raise DestinationUnusable when the name is taken, unless this very job may have taken it."""
        if job.archive is None and self._exists():
            raise taken(self.path, "the embedded instance")

    def deliver(self, archive: Archive, context: DeliveryContext) -> Delivery:
        """Load the archive; one transaction, so after a kill the project is there whole or not at all."""
        context.check_stop()
        if archive.path is None:
            raise UsageError(
                "import-project into the embedded instance needs a local archive",
                hint="leave out --no-local-copy",
            )
        with kept_on_failure(archive, context.job, self.store_dir):
            if self._exists():
                if context.checkpoint.load().get("loading") != self.path:
                    raise taken(self.path, "the embedded instance")
                return Delivery(self.to)
            context.checkpoint.save({"loading": self.path})
            context.check_stop()
            loaded = self._load(Path(archive.path))
        return Delivery(
            self.to, details=_details(loaded), warnings=tuple(map(str, loaded.get("warnings", ())))
        )

    def abandon(self, job: Job, checkpoint: Checkpoint) -> None:  # noqa: ARG002 - nothing half-loaded is ever there
        """Remove the archive that was kept after a failure."""
        forget_kept(None, job, self.store_dir)

    def still_there(self, job: Job) -> bool:  # noqa: ARG002 - the name is enough
        """Whether the embedded instance has the project."""
        return self._exists()

    def _exists(self) -> bool:
        exists = self.surroundings.project_exists
        return exists is not None and exists(self.path)

    def _load(self, archive: Path) -> Mapping[str, Any]:
        load = self.surroundings.load_archive
        if load is None:
            raise DestinationUnusable(
                "the embedded instance is not at hand", hint="pip install 'packmule[embedded]'"
            )
        return load(archive, self.path)


def _details(loaded: Mapping[str, Any]) -> dict[str, Any]:
    """What the loader said, as far as the job store can keep it."""
    try:
        return {"loaded": json.loads(json.dumps(dict(loaded)))}
    except (TypeError, ValueError):
        return {}
