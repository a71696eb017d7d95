"""One frozen view of one project: a transaction in every database, held open for the workers to join."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from export_core.errors import SourceUnavailable
from export_core.gitlab.tree import RELATIONS
from export_core.quantities import listed
from export_core.source import Part, Plan, Selection
from export_core.sources.gitlab_db.batches import ids_in
from export_core.sources.gitlab_db.cancelling import cancel_all
from export_core.sources.gitlab_db.catalog import Catalog, read_catalog
from export_core.sources.gitlab_db.connections import connect, database_errors, freeze, keep_tables
from export_core.sources.gitlab_db.coverage import lacking_paths
from export_core.sources.gitlab_db.knowledge import knowledge_of
from export_core.sources.gitlab_db.planning import Planner
from export_core.sources.gitlab_db.project import find_project, resolved_rules
from export_core.sources.gitlab_db.settings import GitlabSettings, Token
from export_core.sources.gitlab_db.tables import TABLES
from export_core.sources.gitlab_db.texts import text
from export_core.stop import breaking_off
from export_core.timestamps import to_text, utc_now

if TYPE_CHECKING:
    import psycopg

_SHOWN = 8
"""Lacking relations and attributes that are named in a warning."""


class GitlabSnapshot:
    """Holds the snapshot's transactions. Not shared between threads; readers have their own connections."""

    @database_errors
    def __init__(self, settings: GitlabSettings, full_path: str, options: Mapping[str, Any]) -> None:
        self.settings = settings
        self._options = options
        self._connections: dict[str, psycopg.Connection[Any]] = {}
        self._catalogs: dict[str, Catalog] = {}
        try:
            with breaking_off(self.cancel):  # somebody else's locks may have to be waited for
                snapshots = self._freeze()
                self.taken_at = to_text(utc_now())
                self._check_is_gitlab()
                main = self._connections["main"]
                rules = replace(resolved_rules(main, settings.rules), description=options.get("description"))
                self.settings = replace(settings, rules=rules)
                self.project = find_project(main, self._catalogs["main"], full_path)
        except BaseException:
            self.close()
            raise
        self._token = Token(
            snapshots,
            self.project,
            allow_missing=bool(options.get("allow_missing")),
            pause=float(options.get("pause", settings.pause)),
            max_db_load=options.get("max_db_load", settings.max_db_load),
            description=options.get("description"),
            name=secrets.token_hex(8),
        )
        self._knowledge = knowledge_of(self._token.name)
        for name, catalog in self._catalogs.items():
            self._knowledge.tell(("catalog", name), catalog)
        self._knowledge.tell("rules", self.settings.rules)

    @property
    def token(self) -> str:
        """What a reader needs to join."""
        return self._token.encode()

    @property
    @database_errors
    def details(self) -> Mapping[str, Any]:
        """Server, role and what this database lacks."""
        main = self._connections["main"]
        version, replica = main.execute(
            "SELECT current_setting('server_version'), pg_is_in_recovery()"
        ).fetchall()[0]
        return {
            "postgresql": text(version),
            "replica": bool(replica),
            "project_id": self.project.id,
            "snapshots": dict(self._token.snapshots),
            "missing": self.lacking,
        }

    @database_errors
    def plan(self, selection: Selection) -> Plan:
        """Cut the project into parts."""
        plan = self._planner().plan(selection)
        lacking = [path for path in self.lacking if selection.includes(path.split(".")[0])]
        if not lacking:
            return plan
        note = f"this GitLab's database does not have: {listed(lacking, _SHOWN)}; packmule show lists all"
        return replace(plan, warnings=(*plan.warnings, note))

    @database_errors
    def refresh(self, part: Part) -> Part:
        """The same part with its lines counted in this snapshot."""
        node = next((node for node in RELATIONS if node.name == part.relation), None)
        if node is None or not node.many or part.payload.get("kind") != "rows":
            return part
        connection = self._planner().connection(node.database)
        table = self._planner().catalog(node.database).name(node.table)
        query = f"SELECT count(*) FROM {table} t WHERE t.id = ANY(%s::bigint[])"
        (count,) = connection.execute(query, (ids_in(part.payload["ids"]),)).fetchall()[0]
        return replace(part, lines=int(count))

    def cancel(self) -> None:
        """Break off the running statement; from another thread."""
        cancel_all(self._connections.values())

    def close(self) -> None:
        """Let the snapshot go."""
        while self._connections:
            self._connections.popitem()[1].close()

    def _freeze(self) -> dict[str, str]:
        """Begin a transaction in every database; the names of their snapshots."""
        snapshots = {}
        for name in self.settings.databases.separate():
            connection = self._connections[name] = connect(self.settings.databases.dsn(name))
            snapshots[name] = freeze(connection)
            self._catalogs[name] = read_catalog(connection, TABLES)
            keep_tables(connection, self._catalogs[name])
        return snapshots

    def _planner(self) -> Planner:
        return Planner(self.settings, self.project, self._connections, self._catalogs, self._options)

    @cached_property
    def lacking(self) -> list[str]:
        """Paths of relations and attributes that this database does not have."""
        return lacking_paths(self.settings, self._planner().catalog, self._knowledge)

    def _check_is_gitlab(self) -> None:
        lacking = [
            table for table in ("projects", "routes", "namespaces") if not self._catalogs["main"].has(table)
        ]
        if lacking:
            raise SourceUnavailable(
                f"this is no database of a GitLab: it has no table {', '.join(lacking)}",
                hint="check the database name and the role's privileges (the README lists the GRANTs)",
            )
