"""The repositories of a project's snippets, with the names of their bundles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from export_core.gitlab import layout
from export_core.gitlab.snippets import snippet_digest
from export_core.sources.gitlab_db.texts import text

if TYPE_CHECKING:
    from export_core.sources.gitlab_db.planning import Planner

_TIME = '\'YYYY-MM-DD"T"HH24:MI:SS"Z"\''


def snippet_repositories(planner: Planner) -> Iterator[tuple[str, str, str]]:
    """(digest, storage name, disk path) of every project snippet with a repository, by id."""
    catalog = planner.catalog("main")
    if not (catalog.has("snippet_repositories") and catalog.has("snippets")):
        return
    rows = planner.connection("main").execute(
        f"SELECT s.id, s.title, s.description, to_char(s.created_at, {_TIME}),"
        f" to_char(s.updated_at, {_TIME}), h.name, r.disk_path"
        " FROM snippets s JOIN snippet_repositories r ON r.snippet_id = s.id"
        " LEFT JOIN shards h ON h.id = r.shard_id"
        " WHERE s.project_id = %s AND s.type = 'ProjectSnippet' ORDER BY s.id",
        (planner.project.id,),
    )
    for id, *values in rows.fetchall():
        title, description, created, updated, storage, disk_path = (text(value) for value in values)
        digest = snippet_digest(title, description, created or "", updated or "")
        yield digest, storage or planner.project.storage, disk_path or layout.snippet_disk_path(id)
