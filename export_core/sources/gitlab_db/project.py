"""Finds the project to export, and what its group says where the project says nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from export_core.errors import NotFound
from export_core.gitlab import layout
from export_core.sources.gitlab_db.catalog import Catalog
from export_core.sources.gitlab_db.renderings import Rules
from export_core.sources.gitlab_db.settings import ProjectRef
from export_core.sources.gitlab_db.texts import text

if TYPE_CHECKING:
    import psycopg

_DEFAULT_STORAGE = "default"


def find_project(connection: psycopg.Connection[Any], catalog: Catalog, full_path: str) -> ProjectRef:
    """The project with this full path; letter case counts only where two differ by it. Raises NotFound."""
    rows = connection.execute(
        "SELECT source_id FROM routes WHERE source_type = 'Project' AND lower(path) = lower(%s)"
        " ORDER BY path = %s DESC LIMIT 1",
        (full_path, full_path),
    ).fetchall()
    if not rows:
        raise NotFound(
            f"there is no project {full_path!r}",
            hint="give its full path, group/subgroup/project, as in its URL",
        )
    return project_by_id(connection, catalog, int(rows[0][0]))


def project_by_id(connection: psycopg.Connection[Any], catalog: Catalog, project_id: int) -> ProjectRef:
    """The project with this id. Raises NotFound."""
    optional = ("namespace_id", "project_namespace_id", "repository_storage", "storage_version")
    columns = [f"p.{name}::text" if catalog.has("projects", name) else "NULL::text" for name in optional]
    route = "(SELECT r.path FROM routes r WHERE r.source_type = 'Project' AND r.source_id = p.id LIMIT 1)"
    rows = connection.execute(
        f"SELECT {route}::varchar(2000), {', '.join(columns)} FROM projects p WHERE p.id = %s", (project_id,)
    ).fetchall()
    if not rows:
        raise NotFound(
            f"there is no project with id {project_id}", hint="its route is left over; was it just deleted?"
        )
    path, namespace, project_namespace, storage, version = (text(value) for value in rows[0])
    place = repository_place(connection, catalog, project_id)
    storage_version = int(version) if version else None
    disk_path = layout.project_disk_path(project_id) if storage_version else path or ""
    return ProjectRef(
        id=project_id,
        full_path=path or "",
        namespace_id=int(namespace) if namespace else None,
        project_namespace_id=int(project_namespace) if project_namespace else None,
        storage=place[0] if place else storage or _DEFAULT_STORAGE,
        disk_path=place[1] if place else disk_path,
        storage_version=storage_version,
        sha256=_has_sha256(connection, catalog, project_id),
    )


def repository_place(
    connection: psycopg.Connection[Any], catalog: Catalog, project_id: int
) -> tuple[str, str] | None:
    """(storage name, disk path) as stored; ``project_repositories.disk_path`` is GitLab's own truth."""
    if not (catalog.has("project_repositories") and catalog.has("shards")):
        return None
    rows = connection.execute(
        "SELECT s.name, r.disk_path FROM project_repositories r LEFT JOIN shards s ON s.id = r.shard_id"
        " WHERE r.project_id = %s",
        (project_id,),
    ).fetchall()
    return (text(rows[0][0]) or _DEFAULT_STORAGE, text(rows[0][1]) or "") if rows else None


def _has_sha256(connection: psycopg.Connection[Any], catalog: Catalog, project_id: int) -> bool:
    if not catalog.has("project_repositories", "object_format"):
        return False
    query = "SELECT object_format = 1 FROM project_repositories WHERE project_id = %s"
    return bool((connection.execute(query, (project_id,)).fetchall() or [(False,)])[0][0])


def configured_default_branch(
    connection: psycopg.Connection[Any], catalog: Catalog, project: ProjectRef
) -> str | None:
    """What the group, its root group, or the instance name the first branch of an empty repository."""
    candidates = []
    if catalog.has("namespace_settings", "default_branch_name") and catalog.has(
        "namespaces", "traversal_ids"
    ):
        settings = "SELECT s.default_branch_name FROM namespace_settings s"
        candidates = [
            f"({settings} WHERE s.namespace_id = n.id)",
            f"({settings} WHERE s.namespace_id = n.traversal_ids[1])",
        ]
    if catalog.has("application_settings", "default_branch_name"):
        candidates.append(
            "(SELECT a.default_branch_name FROM application_settings a ORDER BY a.id DESC LIMIT 1)"
        )
    if not candidates or project.namespace_id is None:
        return None
    found = ", ".join(f"nullif({candidate}, '')" for candidate in candidates)
    rows = connection.execute(
        f"SELECT coalesce({found}) FROM namespaces n WHERE n.id = %s", (project.namespace_id,)
    ).fetchall()
    return text(rows[0][0]) if rows else None


def resolved_rules(connection: psycopg.Connection[Any], rules: Rules) -> Rules:
    """``auto`` decided: licensed when the instance has a licence, else plain columns, which lose nothing."""
    if rules.license != "auto":
        return rules
    there = connection.execute("SELECT to_regclass('licenses') IS NOT NULL").fetchall()[0][0]
    licensed = there and connection.execute("SELECT EXISTS (SELECT FROM licenses)").fetchall()[0][0]
    return replace(rules, license="licensed" if licensed else "ce")
