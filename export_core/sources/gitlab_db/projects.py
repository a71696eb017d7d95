"""Which projects a GitLab has: of a group with all below it, or all; the largest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from export_core.errors import NotFound, SourceUnavailable
from export_core.sources.gitlab_db.catalog import Catalog, read_catalog
from export_core.sources.gitlab_db.texts import text

if TYPE_CHECKING:
    import psycopg

_SIZES = ("repository_size", "wiki_size", "lfs_objects_size", "snippets_size", "uploads_size")
"""Of ``project_statistics``: what an export holds. Artifacts, packages and images are not exported."""


def project_paths(connection: psycopg.Connection[Any], group: str | None) -> list[str]:
    """Full paths, the largest project first where statistics are readable, else by path.

    ``group`` is the full path of a group, or of a user: their own projects and those of all groups below.
    Projects that are being deleted are left out. Raises NotFound for an unknown group,
    SourceUnavailable for a database that is not GitLab's.
    """
    catalog = read_catalog(connection, ["projects", "routes", "project_statistics"])
    if not (catalog.has("projects") and catalog.has("routes")):
        raise SourceUnavailable(
            "this is no database of a GitLab: it has no tables projects and routes",
            hint="check the database name and the role's privileges (the README lists the GRANTs)",
        )
    where, values = ["r.source_type = 'Project'"], []
    if group is not None:
        where.append("starts_with(r.path, %s)")
        values.append(f"{_group_path(connection, group)}/")
    if catalog.has("projects", "pending_delete"):
        where.append("p.pending_delete IS NOT TRUE")
    size, statistics = _size(connection, catalog)
    rows = connection.execute(
        f"SELECT r.path FROM routes r JOIN projects p ON p.id = r.source_id{statistics}"
        f" WHERE {' AND '.join(where)} ORDER BY {size} DESC, r.path",
        values,
    )
    return [text(path) or "" for (path,) in rows.fetchall()]


def project_sizes(connection: psycopg.Connection[Any], most: int) -> list[tuple[str, int]]:
    """(path, bytes in files and repositories) of the largest projects; empty without statistics."""
    size, statistics = _size(connection, read_catalog(connection, ["project_statistics"]))
    if not statistics:
        return []
    rows = connection.execute(
        f"SELECT r.path, {size} FROM routes r{statistics.replace('p.id', 'r.source_id')}"
        f" WHERE r.source_type = 'Project' ORDER BY 2 DESC, 1 LIMIT {most:d}"
    )
    return [(text(path) or "", int(bytes_)) for path, bytes_ in rows.fetchall()]


def readable(connection: psycopg.Connection[Any], table: str) -> bool:
    """Whether a table exists and the role may read it."""
    query = "SELECT coalesce(has_table_privilege(to_regclass(%s)::oid, 'SELECT'), false)"
    return bool(connection.execute(query, (table,)).fetchall()[0][0])


def _group_path(connection: psycopg.Connection[Any], group: str) -> str:
    """The group's path as it is written; letter case counts only where two differ by it."""
    path = group.strip("/")
    rows = connection.execute(
        "SELECT path FROM routes WHERE source_type = 'Namespace' AND lower(path) = lower(%s)"
        " ORDER BY path = %s DESC LIMIT 1",
        (path, path),
    ).fetchall()
    if not rows:
        raise NotFound(
            f"there is no group {group!r}", hint="give its full path, group/subgroup, as in its URL"
        )
    return text(rows[0][0]) or ""


def _size(connection: psycopg.Connection[Any], catalog: Catalog) -> tuple[str, str]:
    """The expression of a project's size, and the join that it needs."""
    columns = [f"coalesce(s.{name}, 0)" for name in _SIZES if catalog.has("project_statistics", name)]
    if not columns or not readable(connection, "project_statistics"):
        return "NULL::bigint", ""
    return f"({' + '.join(columns)})", " LEFT JOIN project_statistics s ON s.project_id = p.id"
