"""Removes a project's rows. What belongs to a project is read from the relation tree, not listed again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

from export_core.gitlab.schema import tables
from export_core.gitlab.tree import RELATIONS, Node

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True, slots=True)
class Tie:
    """Rows of ``table`` belong to the row of ``parent`` whose id is in ``column``."""

    table: str
    column: str
    parent: str
    types: tuple[tuple[str, str], ...] = ()
    """Conditions of a polymorphic tie."""

    @property
    def condition(self) -> str:
        """The rows of all doomed parents, as SQL."""
        # An array from a subquery, unlike IN, lets the planner use the index of a large table.
        ids = f"ARRAY(SELECT id FROM doomed WHERE kind = '{self.parent}')"
        types = "".join(f" AND {column} = '{value}'" for column, value in self.types)
        return f"({self.column} = ANY({ids}){types})"


_FURTHER = (
    Tie("snippet_repositories", "snippet_id", "snippets"),
    Tie("merge_requests_merge_data", "merge_request_id", "merge_requests"),
    Tie("merge_request_diff_details", "merge_request_diff_id", "merge_request_diffs"),
    Tie("events", "project_id", "projects"),
    Tie("uploads", "model_id", "projects", (("model_type", "Project"),)),
    Tie("routes", "source_id", "projects", (("source_type", "Project"),)),
)
_SHARED = frozenset({"users", "namespaces", "project_uploads"})
"""Tables whose ``project_id``, if any, makes no row the project's own, or that are part of another."""


def delete_rows(connection: psycopg.Connection[Any], project_id: int) -> None:
    """Delete a project with all that belongs to it, in the caller's transaction; groups and users stay."""
    connection.execute("CREATE TEMPORARY TABLE doomed (kind text, id bigint) ON COMMIT DROP")
    connection.execute("INSERT INTO doomed VALUES ('projects', %s)", (project_id,))
    parents = {tie.parent for group in _ties().values() for tie in group}
    for table, group in _ties().items():
        condition = " OR ".join(tie.condition for tie in group)
        if table in parents:
            connection.execute(
                f"WITH gone AS (DELETE FROM {table} WHERE {condition} RETURNING id)"
                f" INSERT INTO doomed SELECT '{table}', id FROM gone"
            )
        else:
            connection.execute(f"DELETE FROM {table} WHERE {condition}")
    connection.execute(
        "DELETE FROM namespaces WHERE id = (SELECT project_namespace_id FROM projects WHERE id = %s)",
        (project_id,),
    )
    connection.execute("DELETE FROM projects WHERE id = %s", (project_id,))
    connection.execute("DROP TABLE doomed")


@lru_cache(maxsize=1)
def _ties() -> dict[str, tuple[Tie, ...]]:
    """The ties of every table, parents before children."""
    found: dict[str, set[Tie]] = {}
    for tie in (*_FURTHER, *(tie for node in RELATIONS for tie in _tree_ties(node, "projects"))):
        found.setdefault(tie.table, set()).add(tie)
    for table in tables().values():
        if "project_id" in table.columns and table.name not in found and table.name not in _SHARED:
            found[table.name] = {Tie(table.name, "project_id", "projects")}
    graph = {table: {tie.parent for tie in group} for table, group in found.items()}
    order = [table for table in TopologicalSorter(graph).static_order() if table in found]
    return {table: tuple(sorted(found[table], key=lambda tie: tie.condition)) for table in order}


def _tree_ties(node: Node, parent: str) -> Iterator[Tie]:
    if node.through is not None:
        yield Tie(node.through.table, node.through.to_parent, parent)
        return
    if node.belongs_to:
        # Many may share the row; those of the project's own have a project_id.
        yield from (tie for child in node.children for tie in _tree_ties(child, node.table))
        return
    types = tuple(pair for pair in node.where if pair[0].endswith("_type"))
    yield Tie(node.table, node.child_key, parent, types)
    yield from (tie for child in node.children for tie in _tree_ties(child, node.table))
