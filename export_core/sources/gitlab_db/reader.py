"""One worker's view of a snapshot of GitLab: turns parts into bytes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export_core import git
from export_core.errors import RelationFailed
from export_core.source import ArchiveFile, Part, Sink
from export_core.sources.gitlab_db import push_policies, stored_files
from export_core.sources.gitlab_db.cancelling import cancel_all
from export_core.sources.gitlab_db.catalog import read_catalog
from export_core.sources.gitlab_db.connections import AFTER_THE_CHANGE, connect, database_errors, join, reason
from export_core.sources.gitlab_db.diffs import DiffFiles
from export_core.sources.gitlab_db.knowledge import knowledge_of
from export_core.sources.gitlab_db.project import (
    configured_default_branch,
    repository_place,
    resolved_rules,
)
from export_core.sources.gitlab_db.renderings import Renderer, Rules
from export_core.sources.gitlab_db.repositories import ProjectRepositories
from export_core.sources.gitlab_db.rows import RelationRows
from export_core.sources.gitlab_db.rules import exceptions
from export_core.sources.gitlab_db.settings import GitlabSettings, Token
from export_core.sources.gitlab_db.statements import RELATION_NODES, Statements
from export_core.sources.gitlab_db.tables import TABLES
from export_core.sources.gitlab_db.values import Resolver

if TYPE_CHECKING:
    import psycopg

_BUNDLE_BLOCK = 1 << 20
_REST_STEP = 0.25
"""Seconds after which a resting worker looks whether it is to stop."""


class GitlabReader:
    """Reads parts. Its connections are opened when first needed and belong to one thread."""

    def __init__(self, settings: GitlabSettings, token: Token) -> None:
        self.settings = settings
        self.token = token
        self._connections: dict[str, psycopg.Connection[Any]] = {}
        self._rows: dict[str, RelationRows] = {}
        self.knowledge = knowledge_of(token.name)
        self._statements = Statements(self)
        self._diffs = DiffFiles(settings)
        self.resolver = Resolver(self._repositories(), self._diffs, allow_missing=token.allow_missing)

    @database_errors
    def read(self, part: Part, sink: Sink) -> None:
        """Write a part to the sink. Raises RelationFailed, SourceInterrupted."""
        from psycopg import errors

        try:
            self._read(part, sink)
        except (errors.LockNotAvailable, errors.UndefinedTable, errors.UndefinedColumn) as exc:
            # Trying again on this snapshot is in vain: the other waits until the snapshot's holder is gone.
            said = f"somebody changes a table that it reads: {reason(exc)}"
            raise RelationFailed(part.relation, said, part=part.number, hint=AFTER_THE_CHANGE) from exc

    def _read(self, part: Part, sink: Sink) -> None:
        match part.payload["kind"]:
            case "rows":
                self._relation(part.relation).write(part, sink)
            case "text":
                _write_text(part, sink)
            case "bundle":
                self._bundle(part, sink)
            case "lfs_map":
                self._lfs_map(part, sink)
            case kind:
                raise RelationFailed(part.relation, f"unknown kind of part {kind!r}", part=part.number)

    def files(self, part: Part) -> Iterator[ArchiveFile]:
        """The files of a deferred part."""
        return stored_files.open_entries(self.settings, part)

    def cancel(self) -> None:
        """Break off the running statement; from another thread."""
        cancel_all(self._connections.values())

    def close(self) -> None:
        """Give back connections and files."""
        self._diffs.close()
        while self._connections:
            self._connections.popitem()[1].close()

    def connection(self, database: str) -> psycopg.Connection[Any]:
        """The connection to a database, within the snapshot."""
        name = database if database in self.settings.databases.separate() else "main"
        if name not in self._connections:
            connection = connect(self.settings.databases.dsn(name))
            self._connections[name] = connection
            join(connection, self.token.snapshots[name])
        return self._connections[name]

    def reconnect(self, database: str) -> None:
        """Drop a connection whose transaction is spoilt; the next use joins the snapshot anew."""
        name = database if database in self.settings.databases.separate() else "main"
        if name in self._connections:
            self._connections.pop(name).close()

    def renderer(self, database: str) -> Renderer:
        """Renders the attributes of a database's tables."""
        name = database if database in self.settings.databases.separate() else "main"
        return self.knowledge.get(("renderer", name), lambda: self._renderer(name))

    def _renderer(self, name: str) -> Renderer:
        catalog = self.knowledge.get(("catalog", name), lambda: read_catalog(self.connection(name), TABLES))
        rules = self.knowledge.get("rules", self._rules)
        return Renderer(catalog, rules, exceptions(stored=rules.stored))

    def _rules(self) -> Rules:
        rules = resolved_rules(self.connection("main"), self.settings.rules)
        return replace(rules, description=self.token.description)

    def rest(self, busy: float, check_stop: Callable[[], None]) -> None:
        """Go easy on a live primary: wait after ``busy`` seconds of work, as configured."""
        left = resting_time(busy, self.token.pause, self.token.max_db_load)
        while left > 0:
            check_stop()
            time.sleep(min(left, _REST_STEP))
            left -= _REST_STEP

    def _relation(self, name: str) -> RelationRows:
        if name not in self._rows:
            self._rows[name] = RelationRows(self, self._statements, RELATION_NODES[name])
        return self._rows[name]

    def _repositories(self) -> ProjectRepositories:
        def lookup(project_id: int) -> tuple[str, str] | None:
            return repository_place(self.connection("main"), self.renderer("main").catalog, project_id)

        def default() -> str | None:
            catalog = self.renderer("main").catalog
            return configured_default_branch(self.connection("main"), catalog, self.token.project)

        def policies() -> Sequence[push_policies.Rule]:
            id = self.token.project.id
            return self.knowledge.get(
                "push policies", lambda: push_policies.forbidding(self.connection("main"), id)
            )

        return ProjectRepositories(
            self.settings.storage,
            self.token.project,
            self.token.snapshots["main"],
            lookup,
            default,
            policies=policies,
        )

    def _bundle(self, part: Part, sink: Sink) -> None:
        repository = Path(part.payload["path"])
        try:
            with git.stream(repository, "bundle", "create", "--quiet", "-", "--all") as output:
                while block := output.read(_BUNDLE_BLOCK):
                    sink.write(block)
                    sink.check_stop()
        except git.GitFailed as exc:
            raise RelationFailed(part.relation, exc.message, part=part.number, hint=exc.hint) from exc
        sink.lines(1)

    def _lfs_map(self, part: Part, sink: Sink) -> None:
        left_out = set(part.payload["left_out"])
        found: dict[str, list[int | None]] = {}
        if self.renderer("main").catalog.has("lfs_objects_projects"):
            rows = stored_files.lfs_rows(self.connection("main"), self.token.project.id)
            found = {oid: types for oid, _, types in rows if oid not in left_out}
        sink.write(json.dumps(found, separators=(",", ":")).encode())


def resting_time(busy: float, pause: float, max_db_load: float | None) -> float:
    """Seconds to wait after ``busy`` seconds of work, so that work is at most that share of the time."""
    return max(pause, busy * (1 / max_db_load - 1) if max_db_load else 0.0)


def _write_text(part: Part, sink: Sink) -> None:
    sink.write(part.payload["text"].encode())
