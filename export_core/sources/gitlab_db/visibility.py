"""What GitLab leaves out because the exporting user may not read it, and packmule keeps: told with a count.

Source: GitLab 18.9, ``Exportable``, the system notes' visibility and ``EpicIssue#exportable_record?``.
Whether somebody may read a record is decided by policies over a dozen tables: nothing is left out on a guess.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from export_core.sources.gitlab_db.catalog import Catalog
from export_core.sources.gitlab_db.members import exporting_user

if TYPE_CHECKING:
    import psycopg

_ENOUGH = 100_000
_ACTIONS = (
    "branch commit cross_reference closed close duplicate moved cloned merge label milestone relate unrelate"
    " relate_to_child relate_to_parent unrelate_from_child unrelate_from_parent contact"
    " epic_issue_added issue_added_to_epic epic_issue_removed issue_removed_from_epic epic_issue_moved"
    " issue_changed_epic"
).split()
"""Actions of system notes that name other records, or that not every member may see."""
_NOTES = """
SELECT n.id FROM notes n LEFT JOIN system_note_metadata m ON m.note_id = n.id
WHERE n.project_id = %(project)s AND n.system AND n.noteable_type = ANY(%(noteables)s)
AND (m.action = ANY(%(actions)s) OR starts_with(n.note, 'mentioned in '))
"""
_EPICS = "SELECT e.id FROM epic_issues e JOIN issues i ON i.id = e.issue_id WHERE i.project_id = %(project)s"
_NOTEABLES = {"issues": "Issue", "merge_requests": "MergeRequest"}


def warnings(
    connection: psycopg.Connection[Any],
    catalog: Catalog,
    project_id: int,
    options: Mapping[str, Any],
    chosen: Collection[str],
) -> list[str]:
    """For ``as_user`` who is no administrator. Raises UsageError for an unknown one."""
    user = exporting_user(connection, options)
    if user is None or user.admin:
        return []
    noteables = [name for relation, name in _NOTEABLES.items() if relation in chosen]
    values = {"project": project_id, "noteables": noteables, "actions": _ACTIONS}
    found = []
    if noteables and catalog.has("system_note_metadata", "action"):
        found.append((_count(connection, _NOTES, values), "system notes name other records"))
    if "issues" in chosen and catalog.has("epic_issues"):
        found.append((_count(connection, _EPICS, values), "issues belong to epics"))
    return [
        f"{count} {what}: GitLab leaves those out that {user.name} may not read, packmule exports all"
        for count, what in found
        if count != "0"
    ]


def _count(connection: psycopg.Connection[Any], query: str, values: Mapping[str, Any]) -> str:
    counted = f"SELECT count(*) FROM ({query} LIMIT {_ENOUGH + 1}) found"
    (count,) = connection.execute(counted, values).fetchall()[0]
    return f"more than {_ENOUGH:,}" if count > _ENOUGH else f"{count:,}"
