"""The embedded instance as a source: a ``gitlab_db`` source whose server is started while it is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from export_core.source import Check, CheckStatus
from export_core.sources.embedded.instance import EmbeddedInstance

if TYPE_CHECKING:
    from export_core.sources.gitlab_db.reader import GitlabReader
    from export_core.sources.gitlab_db.snapshot import GitlabSnapshot
    from export_core.sources.gitlab_db.source import GitlabSource


@dataclass(frozen=True, slots=True)
class EmbeddedSource:
    """Reads the projects of the embedded instance. ``open`` and ``reader`` need an open session."""

    name: str
    instance: EmbeddedInstance

    @property
    def exact_after_resume(self) -> bool:
        """It is a database like any other: a resumed export reads a newer snapshot."""
        return False

    def relations(self) -> Sequence[str]:
        """All relations, in the order in which they are shown."""
        from export_core.sources.gitlab_db.planning import RELATION_NAMES

        return RELATION_NAMES

    def projects(self, group: str | None) -> Iterable[str]:
        """Full paths of a group's projects, or of all; the largest first. Raises NotFound."""
        return self._gitlab().projects(group)

    def open(self, project: str, options: Mapping[str, Any]) -> GitlabSnapshot:
        """Freeze a view of a project. Raises NotFound, SourceUnavailable."""
        return self._gitlab().open(project, options)

    def reopen(self, project: str, options: Mapping[str, Any], details: Mapping[str, Any]) -> GitlabSnapshot:
        """Freeze a new view for a resumed job."""
        return self._gitlab().reopen(project, options, details)

    def reader(self, token: str) -> GitlabReader:
        """A reader on a snapshot, for one worker."""
        return self._gitlab().reader(token)

    @contextmanager
    def session(self) -> Iterator[None]:
        """Keep the embedded server running."""
        with self.instance.session():
            yield

    def checks(self) -> Iterable[Check]:
        """Start the server if need be, and look at it as at any GitLab's database."""
        with self.instance.session():
            yield Check(
                "embedded instance", CheckStatus.OK, f"PostgreSQL runs below {self.instance.home.embedded}"
            )
            yield from self._gitlab().checks()

    def _gitlab(self) -> GitlabSource:
        """Made anew each time: the socket's place is known only while the server runs."""
        from export_core.sources.gitlab_db import settings
        from export_core.sources.gitlab_db.renderings import Rules
        from export_core.sources.gitlab_db.source import GitlabSource

        storage = self.instance.storage
        places = settings.Storage(
            repositories={"default": str(storage.repositories)},
            uploads=str(storage.uploads),
            lfs_objects=str(storage.lfs_objects),
            external_diffs=str(storage.external_diffs),
        )
        databases = settings.Databases(self.instance.server.dsn())
        return GitlabSource(self.name, settings.GitlabSettings(databases, places, rules=Rules(stored=True)))
