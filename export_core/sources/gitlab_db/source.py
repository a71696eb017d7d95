"""A GitLab whose database and storage directories this machine can read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from export_core.source import Check
from export_core.sources.gitlab_db.planning import RELATION_NAMES
from export_core.sources.gitlab_db.reader import GitlabReader
from export_core.sources.gitlab_db.settings import GitlabSettings, Token
from export_core.sources.gitlab_db.snapshot import GitlabSnapshot


@dataclass(frozen=True, slots=True)
class GitlabSource:
    """Reads projects straight from PostgreSQL and the disk."""

    name: str
    settings: GitlabSettings
    work_directory: str | None = None
    """Where exports are made; ``checks`` compares its room with what the largest projects need."""

    @property
    def exact_after_resume(self) -> bool:
        """A database goes on living: a resumed export reads its rest from a newer snapshot."""
        return False

    def relations(self) -> Sequence[str]:
        """All relations, in the order in which they are shown."""
        return RELATION_NAMES

    def projects(self, group: str | None) -> Iterable[str]:
        """Full paths of a group's projects, or of all, the largest first.

        Raises NotFound, SourceUnavailable.
        """
        from export_core.sources.gitlab_db.connections import connect, database_errors
        from export_core.sources.gitlab_db.projects import project_paths

        with connect(self.settings.databases.main) as connection:
            return database_errors(project_paths)(connection, group)

    def open(self, project: str, options: Mapping[str, Any]) -> GitlabSnapshot:
        """Freeze a view of a project. Raises NotFound, SourceUnavailable."""
        return GitlabSnapshot(self.settings, project, options)

    def reopen(self, project: str, options: Mapping[str, Any], details: Mapping[str, Any]) -> GitlabSnapshot:  # noqa: ARG002
        """Freeze a new view for a resumed job."""
        return GitlabSnapshot(self.settings, project, options)

    def reader(self, token: str) -> GitlabReader:
        """A reader on a snapshot, for one worker."""
        return GitlabReader(self.settings, Token.decode(token))

    @contextmanager
    def session(self) -> Iterator[None]:
        """Nothing to keep alive."""
        yield

    def checks(self) -> Iterable[Check]:
        """Look at databases, storages, object storage and room."""
        from export_core.sources.gitlab_db.checks import checks

        return checks(self.settings, self.work_directory)
