"""Members that a project inherits from its groups, as GitLab's export presenter lists them.

Source: GitLab 18.9, ``Projects::ImportExport::ProjectExportPresenter#project_members`` and
GroupMembersFinder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from export_core.errors import UsageError
from export_core.sources.gitlab_db.catalog import Catalog
from export_core.sources.gitlab_db.settings import ProjectRef

if TYPE_CHECKING:
    import psycopg

_MINIMAL_ACCESS = 5
_OWNER = 50


@dataclass(frozen=True, slots=True)
class ExportingUser:
    """In whose name a project is exported."""

    id: int
    name: str
    admin: bool


def inherited(
    connection: psycopg.Connection[Any], catalog: Catalog, project: ProjectRef, options: Mapping[str, Any]
) -> list[int]:
    """Ids of group members to append after the project's own, by id.

    Only somebody who may administer the group sees them: an administrator (no ``as_user``: packmule's user
    has the whole database), or ``as_user`` when it owns the group or one above it. One row per user and
    invitation address: the highest access level, then the group's own row, the lowest member role, the
    latest expiry (none is the latest), the oldest row. Raises UsageError for an unknown ``as_user``.
    """
    user, groups = exporting_user(connection, options), _groups(connection, catalog, project)
    if not groups or not _may_administer(connection, user, groups):
        return []
    role = "m.member_role_id ASC NULLS LAST," if catalog.has("members", "member_role_id") else ""
    query = f"""
        SELECT id FROM (
          SELECT DISTINCT ON (m.user_id, m.invite_email) m.id, m.user_id FROM members m
          WHERE m.source_type = 'Namespace' AND m.type = 'GroupMember' AND m.source_id = ANY(%(groups)s)
            AND m.requested_at IS NULL AND m.access_level > {_MINIMAL_ACCESS}
          ORDER BY m.user_id, m.invite_email, m.access_level DESC, (m.source_id = %(own)s) DESC, {role}
            m.expires_at DESC NULLS FIRST, m.created_at ASC, m.id ASC
        ) one
        WHERE user_id NOT IN (
          SELECT p.user_id FROM members p WHERE p.source_type = 'Project' AND p.type = 'ProjectMember'
            AND p.source_id = %(project)s AND p.requested_at IS NULL AND p.user_id IS NOT NULL)
        ORDER BY id"""
    values = {"groups": groups, "own": project.namespace_id, "project": project.id}
    return [int(row[0]) for row in connection.execute(query, values)]


def _groups(connection: psycopg.Connection[Any], catalog: Catalog, project: ProjectRef) -> list[int]:
    """The project's group and its ancestors; none when it belongs to a user."""
    if project.namespace_id is None or not catalog.has("namespaces", "traversal_ids"):
        return []
    rows = connection.execute(
        "SELECT traversal_ids FROM namespaces WHERE id = %s AND type = 'Group'", (project.namespace_id,)
    ).fetchall()
    return [int(id) for id in rows[0][0] or [project.namespace_id]] if rows else []


def exporting_user(connection: psycopg.Connection[Any], options: Mapping[str, Any]) -> ExportingUser | None:
    """The user of ``as_user``; None when there is none: whoever has the whole database is no less than an
    administrator. Raises UsageError for an unknown one.
    """
    name = options.get("as_user")
    if name is None:
        return None
    rows = connection.execute("SELECT id, admin FROM users WHERE username = %s", (name,)).fetchall()
    if not rows:
        raise UsageError(f"there is no user {name!r}", hint="--as-user takes a GitLab username")
    return ExportingUser(int(rows[0][0]), str(name), bool(rows[0][1]))


def _may_administer(
    connection: psycopg.Connection[Any], user: ExportingUser | None, groups: list[int]
) -> bool:
    if user is None or user.admin:
        return True
    owns = connection.execute(
        "SELECT 1 FROM members WHERE source_type = 'Namespace' AND source_id = ANY(%s) AND user_id = %s"
        " AND access_level = %s AND requested_at IS NULL LIMIT 1",
        (groups, user.id, _OWNER),
    ).fetchall()
    return bool(owns)
