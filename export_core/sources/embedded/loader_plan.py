"""The relation tree made ready for loading: for every node, which key of a record goes into which column.

Everything follows from the tree and the declared tables; nothing is said for one relation alone but the two
places where a row is named by something other than its content (``named`` below).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from export_core.gitlab.ddl import KEPT_COLUMN
from export_core.gitlab.schema import Column, tables
from export_core.gitlab.tree import KEPT_ATTRIBUTES, RELATIONS, Node
from export_core.sources.embedded.loader_ids import Ids
from export_core.sources.embedded.loader_report import LoadReport
from export_core.sources.embedded.loader_rows import RowSender, TableRows
from export_core.sources.embedded.loader_values import (
    RULES,
    Converter,
    Rule,
    converter,
    default,
    null_of,
    stored_in,
)

PARTITION_ID = 100
"""The first partition of GitLab's CI tables."""
NAMED = {("approval_project_rules_protected_branches", "branch_name"): "protected_branch_id"}
"""Attributes that name a row of another table, and the column that refers to it."""


@dataclass(frozen=True, slots=True)
class CommonValues:
    """What the rows of one import have in common."""

    project_id: int
    project_namespace_id: int
    now: str
    """Time of the import, ISO 8601 in UTC."""


@dataclass(slots=True)
class RowPlan:
    """How records of one node become rows."""

    node: Node
    path: str
    table: TableRows
    template: list[Any]
    """A row of a record without any key."""
    cells: dict[str, tuple[int, Converter | None, int | None]]
    """Key -> column, converter, and what stands for null."""
    rules: tuple[tuple[str, int, Rule], ...] = ()
    kept: tuple[str, ...] = ()
    kept_index: int = -1
    named: tuple[tuple[str, int], ...] = ()
    known: frozenset[str] = frozenset()
    """Keys that are handled without a cell."""
    id_index: int = -1
    link_index: int = -1
    fixed: tuple[tuple[int, str], ...] = ()
    """Columns that say what the row belongs to, with their only right value."""
    keys: tuple[int, ...] = ()
    """Columns of the primary key that must have a value, where it is not ``id``."""
    refs: list[tuple[str, RowPlan | None, int]] = field(default_factory=list)
    """Single objects that the row refers to; no plan: users."""
    lists: list[tuple[str, RowPlan]] = field(default_factory=list)
    """What refers to the row."""
    content: tuple[str, ...] = ()
    """Attributes by which equal rows of the table are found, at all places of the tree."""

    def column(self, name: str) -> int:
        """Position of a column in the table's rows."""
        return self.table.columns.index(name)


@dataclass(slots=True)
class RowPlanner:
    """Makes the plans of all relations, with one collection of rows for each table."""

    sender: RowSender
    ids: Ids
    report: LoadReport
    common: CommonValues
    _tables: dict[str, TableRows] = field(default_factory=dict)

    def plans(self) -> dict[str, RowPlan]:
        """The plan of every relation, in GitLab's order of processing."""
        for table, columns in _columns().items():
            self._tables[table] = self.sender.table(table, columns)
        return {node.name: self.plan(node, node.name) for node in RELATIONS if node.parent_key}

    def joins(self) -> dict[str, TableRows]:
        """Collections for the tables of pairs; their ids come from their sequences."""
        throughs = {node.through.table for node in nodes() if node.through is not None}
        return {
            table: self.sender.table(table, tuple(name for name in tables()[table].columns if name != "id"))
            for table in sorted(throughs)
        }

    def plan(self, node: Node, path: str) -> RowPlan:
        """The plan of a node and of all below it."""
        rows = self._tables[node.table]
        plan = RowPlan(node, path, rows, self._template(node, rows), {})
        plan.id_index = _index(rows, "id")
        plan.link_index = -1 if node.belongs_to or node.through else _index(rows, node.child_key)
        plan.fixed = tuple((rows.columns.index(column), value) for column, value in node.where)
        plan.keys = tuple(rows.columns.index(key) for key in node.primary_key if key != "id")
        plan.content = _content(node.table)
        self._add_cells(plan)
        self._add_children(plan)
        return plan

    def _add_cells(self, plan: RowPlan) -> None:
        node, rows = plan.node, plan.table
        plan.kept = KEPT_ATTRIBUTES.get(node.table, ())
        plan.kept_index = _index(rows, KEPT_COLUMN)
        rules, named = [], []
        for attribute in node.attributes:
            column = stored_in(node.table, attribute)
            rule = RULES.get((node.table, attribute))
            if (node.table, attribute) in NAMED:
                named.append((attribute, rows.columns.index(NAMED[node.table, attribute])))
            elif rule is not None and column is not None:
                rules.append((attribute, rows.columns.index(column), rule))
            elif column is not None and attribute not in plan.kept:
                convert = converter(node.table, attribute, self.ids, self.report)
                null = null_of(node.table, attribute)
                plan.cells[attribute] = (rows.columns.index(column), convert, null)
        plan.rules, plan.named = tuple(rules), tuple(named)
        plan.known = frozenset({*node.attributes, *(child.name for child in node.children)})

    def _add_children(self, plan: RowPlan) -> None:
        for child in plan.node.children:
            path = f"{plan.path}.{child.name}"
            if child.table == "users":
                plan.refs.append((child.name, None, plan.table.columns.index(child.parent_key)))
            elif child.belongs_to:
                index = plan.table.columns.index(child.parent_key)
                plan.refs.append((child.name, self.plan(child, path), index))
            else:
                plan.lists.append((child.name, self.plan(child, path)))

    def _template(self, node: Node, rows: TableRows) -> list[Any]:
        declared = tables()[node.table].columns
        own = {stored_in(node.table, attribute) for attribute in node.attributes}
        elsewhere = _attribute_columns(node.table)
        return [
            None
            if column in ("id", KEPT_COLUMN)
            else self._filled(column, declared[column], told=column in own or column in elsewhere)
            for column in rows.columns
        ]

    def _filled(self, name: str, column: Column, *, told: bool) -> Any:
        """What a column holds when the record says nothing. ``told``: some record of the table could."""
        if not told:
            common = {
                "project_id": self.common.project_id,
                "namespace_id": self.common.project_namespace_id,
                "partition_id": PARTITION_ID,
            }
            if name in common:
                return common[name]
            if not column.nullable and name in ("created_at", "updated_at"):
                return self.common.now
        return default(column, self.common.now)


def _index(rows: TableRows, column: str) -> int:
    return rows.columns.index(column) if column in rows.columns else -1


def nodes(table: str | None = None) -> Iterator[Node]:
    """All nodes that are loaded as rows, or those of one table."""
    for relation in RELATIONS:
        for _, node in relation.walk():
            loaded = node.table != "users" and node.parent_key
            if loaded and table in (None, node.table):
                yield node


def _columns() -> Mapping[str, tuple[str, ...]]:
    """For each table the columns that are sent: keys, links, attributes, and what rows have in common."""
    wanted: dict[str, dict[str, None]] = {}
    for node in nodes():
        declared = tables()[node.table].columns
        columns = wanted.setdefault(node.table, {})
        links = [node.child_key] if not (node.belongs_to or node.through) else []
        stored = [stored_in(node.table, attribute) for attribute in node.attributes]
        named = [NAMED[node.table, a] for a in node.attributes if (node.table, a) in NAMED]
        refs = [child.parent_key for child in node.children if child.belongs_to]
        where = [column for column, _ in node.where]
        common = ["project_id", "namespace_id", "partition_id", "created_at", "updated_at"]
        for column in (*node.primary_key, *links, *where, *stored, *named, *refs, *common):
            if column is not None and column in declared:
                columns[column] = None
        if node.table in KEPT_ATTRIBUTES:
            columns[KEPT_COLUMN] = None
    return {table: tuple(columns) for table, columns in wanted.items()}


def _attribute_columns(table: str) -> frozenset[str]:
    """Columns of a table that some node exports or uses as its link: never filled by guess."""
    found = set()
    for node in nodes(table):
        found |= {stored_in(table, attribute) for attribute in node.attributes}
        found |= {node.child_key} if not (node.belongs_to or node.through) else set()
    return frozenset(column for column in found if column)


def _content(table: str) -> tuple[str, ...]:
    """The attributes that all nodes of a table have: what two places can be compared by."""
    common: list[str] | None = None
    for node in nodes(table):
        common = [a for a in (node.attributes if common is None else common) if a in node.attributes]
    return tuple(common or ())
