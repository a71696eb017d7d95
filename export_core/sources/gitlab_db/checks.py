"""What ``packmule doctor`` looks at in a GitLab: databases, schema, storages, object storage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export_core.errors import PackmuleError
from export_core.gitlab.tree import RELATIONS, ROOT
from export_core.source import Check
from export_core.sources.gitlab_db.catalog import read_catalog
from export_core.sources.gitlab_db.connections import connect, freeze
from export_core.sources.gitlab_db.object_storage import Objects
from export_core.sources.gitlab_db.renderings import Renderer
from export_core.sources.gitlab_db.rules import exceptions
from export_core.sources.gitlab_db.settings import GitlabSettings
from export_core.sources.gitlab_db.sql import relation_query
from export_core.sources.gitlab_db.tables import TABLES
from export_core.sources.gitlab_db.texts import text

if TYPE_CHECKING:
    import psycopg

_SHOWN = 6


def checks(settings: GitlabSettings) -> Iterator[Check]:
    """Look at everything that an export needs; one line each."""
    for name in settings.databases.separate():
        yield from _database(settings, name)
    yield from _directories(settings)
    if settings.object_storage:
        for kind in settings.object_storage.buckets:
            yield _bucket(Objects(settings.object_storage), kind)


def _database(settings: GitlabSettings, name: str) -> Iterator[Check]:
    title = f"database {name}"
    try:
        connection = connect(settings.databases.dsn(name))
    except PackmuleError as exc:
        yield Check(title, "failed", exc.message)
        return
    with connection:
        yield _server(title, connection)
        yield _snapshot(title, connection)
        yield from _schema(settings, name, connection)


def _server(title: str, connection: psycopg.Connection[Any]) -> Check:
    query = "SELECT current_setting('server_version'), pg_is_in_recovery(), current_user::text"
    version, replica, role = connection.execute(query).fetchall()[0]
    said = f"PostgreSQL {text(version)} as {text(role)}"
    if replica:
        return Check(title, "ok", f"{said}, a replica")
    return Check(title, "ok", f"{said}, a primary; a read replica would keep the load off it")


def _snapshot(title: str, connection: psycopg.Connection[Any]) -> Check:
    try:
        freeze(connection)
    except Exception as exc:  # noqa: BLE001 - whatever the server says is the result
        return Check(f"{title}: snapshot", "failed", str(exc).splitlines()[0])
    return Check(f"{title}: snapshot", "ok", "a frozen view can be taken and shared between workers")


def _schema(settings: GitlabSettings, name: str, connection: psycopg.Connection[Any]) -> Iterator[Check]:
    catalog = read_catalog(connection, TABLES)
    refused = [
        table
        for table in catalog.tables
        if not connection.execute("SELECT has_table_privilege(%s, 'SELECT')", (table,)).fetchall()[0][0]
    ]
    if refused:
        yield Check(f"database {name}: privileges", "failed", f"no SELECT on {_some(refused)}")
    else:
        yield Check(f"database {name}: privileges", "ok", f"SELECT on all {len(catalog.tables)} tables")
    beside = settings.databases.beside(name)
    renderer = Renderer(catalog, settings.rules, exceptions(stored=settings.rules.stored))
    missing: list[str] = []
    for node in (ROOT, *RELATIONS):
        if node.database in beside:
            there = catalog.has(node.table)
            query = relation_query(renderer, node, pruned=False, databases=beside) if there else None
            missing += [node.name] if query is None else query.missing
    if missing:
        yield Check(f"database {name}: schema", "warning", f"{len(missing)} missing: {_some(missing)}")
    else:
        yield Check(f"database {name}: schema", "ok", "every relation and attribute of GitLab 18.9 is there")


def _directories(settings: GitlabSettings) -> Iterator[Check]:
    storage = settings.storage
    if not storage.repositories:
        yield Check("repositories", "warning", "no storage configured; --skip the repository relations")
    places: dict[str, str | None] = {
        f"repository storage {name}": path for name, path in storage.repositories.items()
    }
    places["uploads"] = storage.uploads
    places["LFS objects"] = storage.lfs_objects
    places["external diffs"] = storage.external_diffs
    for title, place in places.items():
        if place is None:
            yield Check(title, "warning", "not configured")
        elif Path(place).is_dir():
            yield Check(title, "ok", place)
        else:
            yield Check(title, "failed", f"{place} is no directory")


def _bucket(objects: Objects, kind: str) -> Check:
    try:
        objects.check(kind)
    except PackmuleError as exc:
        return Check(f"bucket of {kind}", "failed", exc.message)
    return Check(f"bucket of {kind}", "ok", "reachable")


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
