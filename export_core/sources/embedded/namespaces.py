"""Groups and the shell of a new project: everything that a project needs before its relations are loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from export_core.errors import DestinationUnusable
from export_core.gitlab import layout
from export_core.gitlab.paths import check_full_path
from export_core.sources.embedded.database import ORGANIZATION_ID, ROOT_USER_ID, SHARD_ID

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True, slots=True)
class ProjectShell:
    """The ids of a new project and of what it lies in."""

    project_id: int
    group_id: int
    """The namespace in which it lies: ``projects.namespace_id``."""
    project_namespace_id: int
    """``projects.project_namespace_id``; issues and their descriptions carry it as ``namespace_id``."""
    traversal_ids: tuple[int, ...]
    """Ids of the groups from the topmost down to ``group_id``."""
    disk_path: str
    full_path: str


def create_project_shell(connection: psycopg.Connection[Any], full_path: str) -> ProjectShell:
    """Insert a project with its groups, namespaces, routes and repository row, in the caller's transaction.

    Groups that exist are used. Raises UsageError for a path that GitLab would not take, and
    DestinationUnusable when a project or group of that path exists.
    """
    full_path = check_full_path(full_path)
    *groups, path = full_path.split("/")
    traversal: tuple[int, ...] = ()
    for depth in range(1, len(groups) + 1):
        traversal = _group(connection, groups[:depth], traversal)
    project_id = _next(connection, "projects_id_seq")
    namespace_id = _next(connection, "namespaces_id_seq")
    if _take_route(connection, full_path, "Project", project_id, namespace_id) != (project_id, "Project"):
        raise DestinationUnusable(
            f"{full_path} exists already in the embedded instance", hint="choose another path"
        )
    _insert_namespace(connection, namespace_id, path, "Project", (*traversal, namespace_id))
    shell = ProjectShell(
        project_id, traversal[-1], namespace_id, traversal, layout.project_disk_path(project_id), full_path
    )
    _insert_project(connection, shell)
    return shell


def _group(connection: psycopg.Connection[Any], names: list[str], above: tuple[int, ...]) -> tuple[int, ...]:
    """Find or make a group; the ids from the topmost group down to it."""
    full_path = "/".join(names)
    fresh = _next(connection, "namespaces_id_seq")
    group_id, kind = _take_route(connection, full_path, "Namespace", fresh, fresh)
    if kind != "Namespace":
        raise DestinationUnusable(
            f"{full_path} is a project and cannot hold another", hint="choose another path"
        )
    if group_id == fresh:
        _insert_namespace(connection, fresh, names[-1], "Group", (*above, fresh))
    return (*above, group_id)


def _take_route(
    connection: psycopg.Connection[Any], path: str, kind: str, source_id: int, namespace_id: int
) -> tuple[int, str]:
    """Claim a path; (id, kind) of whom it belongs to now.

    The unique index makes a second transaction wait here until the first has ended, and only when both want
    the same path.
    """
    connection.execute(
        "INSERT INTO routes (source_id, source_type, path, name, namespace_id, created_at, updated_at)"
        " VALUES (%s, %s, %s, %s, %s, now(), now()) ON CONFLICT (path) DO NOTHING",
        (source_id, kind, path, path.replace("/", " / "), namespace_id),
    )
    row = connection.execute("SELECT source_id, source_type FROM routes WHERE path = %s", (path,)).fetchone()
    assert row is not None  # noqa: S101  we have just seen to it, under the index's lock
    return row[0], row[1]


def _insert_namespace(
    connection: psycopg.Connection[Any], namespace_id: int, path: str, kind: str, traversal: tuple[int, ...]
) -> None:
    connection.execute(
        "INSERT INTO namespaces (id, name, path, type, parent_id, traversal_ids, organization_id,"
        " visibility_level, created_at, updated_at) VALUES (%s, %s, %s, %s, %s, %s, %s, 0, now(), now())",
        (namespace_id, path, path, kind, (None, *traversal)[-2], list(traversal), ORGANIZATION_ID),
    )


def _insert_project(connection: psycopg.Connection[Any], shell: ProjectShell) -> None:
    name = shell.full_path.rpartition("/")[2]
    connection.execute(
        "INSERT INTO projects (id, name, path, namespace_id, project_namespace_id, creator_id,"
        " organization_id, storage_version, created_at, updated_at, last_activity_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, 2, now(), now(), now())",
        (
            shell.project_id,
            name,
            name,
            shell.group_id,
            shell.project_namespace_id,
            ROOT_USER_ID,
            ORGANIZATION_ID,
        ),
    )
    connection.execute(
        "INSERT INTO project_repositories (shard_id, disk_path, project_id) VALUES (%s, %s, %s)",
        (SHARD_ID, shell.disk_path, shell.project_id),
    )
    connection.execute(
        "INSERT INTO project_settings (project_id, created_at, updated_at) VALUES (%s, now(), now())",
        (shell.project_id,),
    )


def _next(connection: psycopg.Connection[Any], sequence: str) -> int:
    row = connection.execute(f"SELECT nextval('{sequence}')").fetchone()
    assert row is not None  # noqa: S101
    return int(row[0])
