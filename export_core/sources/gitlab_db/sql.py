"""The SQL of a relation, made from its node of the tree.

One prepared statement reads a batch of parents with everything below them: every child table is read once a
batch (``key = ANY(ARRAY(SELECT ... FROM parents))``), aggregated per parent, and joined back. PostgreSQL
concatenates the JSON text itself; of all shapes tried this was the fastest, and it leaves out the key of a
missing nested object by itself, as Rails does, because ``concat`` ignores NULL.

Parameters: ``ids`` (bigint[]: primary keys, or the project's id for a single object), ``partition`` (bigint:
partition key of all rows of the batch, in pruned queries), ``project`` (bigint: the project's id).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto

from export_core.gitlab.tree import Node
from export_core.sources.gitlab_db.absent import object_or_stand_in, without_license
from export_core.sources.gitlab_db.renderings import PROJECT, Renderer, marker
from export_core.sources.gitlab_db.rules import reads_external_diffs

_IDS = "%(ids)s::bigint[]"
_PARTITION = "%(partition)s::bigint"
_COLUMN = re.compile(r"\b(t[0-9]+)\.([a-z_][a-z0-9_]*)")
_PLAIN_TEXT = re.compile(r"(to_json\(t[0-9]+\.[a-z0-9_]+\))::text")
_MAYBE_LONG = re.compile(r"to_json|json_build|\\x0[12]")
_MOST_ARGUMENTS = 90
"""``concat`` takes at most 100 arguments."""


@dataclass(frozen=True, slots=True)
class Query:
    """A statement and what it could not read."""

    sql: str
    missing: tuple[str, ...] = ()
    """Paths of relations and attributes whose table or column the database does not have."""
    elsewhere: tuple[tuple[str, Node], ...] = ()
    """Nodes in another database, by the path in their markers."""


class _Kind(Enum):
    LITERAL = auto()
    SHORT = auto()
    """Never NULL and never long: a chain of ``||``."""
    EXPRESSION = auto()


@dataclass(slots=True)
class _Texts:
    """Literals and expressions of one JSON object, as the arguments of ``concat``.

    ``concat`` turns each argument into a C string of its own. Short values cost less (a twentieth of
    PostgreSQL's time, measured) when ``||`` has joined them with their keys and with each other.
    """

    pieces: list[tuple[_Kind, str]] = field(default_factory=list)

    def literal(self, text: str) -> None:
        if self._last() is _Kind.LITERAL:
            text = self.pieces.pop()[1] + text
        self.pieces.append((_Kind.LITERAL, text))

    def expression(self, sql: str) -> None:
        self.pieces.append((_Kind.EXPRESSION, sql))

    def value(self, sql: str) -> None:
        """An attribute's value, or null. A text that was escaped as json need not become text before."""
        if text := _PLAIN_TEXT.fullmatch(sql):
            self.expression(f"coalesce({text[1]}, 'null'::json)")
        elif self._last() is _Kind.LITERAL and not _MAYBE_LONG.search(sql):
            self._short(f"'{self.pieces.pop()[1]}' || coalesce({sql}, 'null')")
        else:
            self.expression(f"coalesce({sql}, 'null')")

    def concat(self) -> str:
        arguments = ["'" + text + "'" if kind is _Kind.LITERAL else text for kind, text in self.pieces]
        while len(arguments) > _MOST_ARGUMENTS:
            groups = range(0, len(arguments), _MOST_ARGUMENTS)
            arguments = [f"concat({', '.join(arguments[at : at + _MOST_ARGUMENTS])})" for at in groups]
        return f"concat({', '.join(arguments)})"

    def _short(self, sql: str) -> None:
        if self._last() is _Kind.SHORT:
            sql = f"{self.pieces.pop()[1]} || {sql}"
        self.pieces.append((_Kind.SHORT, sql))

    def _last(self) -> _Kind | None:
        return self.pieces[-1][0] if self.pieces else None


def relation_query(renderer: Renderer, root: Node, *, pruned: bool, databases: Iterable[str]) -> Query:
    """The statement that reads a batch of ``root``'s rows as (id, JSON text), in any order: sorting such wide
    rows costs more than finding them by id. A single object comes without an id.

    ``pruned`` adds the partition key, for batches whose rows all share one. ``databases`` are those that the
    connection sees; nodes elsewhere become markers.
    """
    builder = _Builder(renderer, frozenset(databases), pruned=pruned)
    return builder.build(root, "id, j" if root.many else "j")


def lookup_query(renderer: Renderer, node: Node, *, databases: Iterable[str]) -> Query:
    """The statement that reads rows by id as (id, JSON text), for parents in another database."""
    return _Builder(renderer, frozenset(databases), pruned=False).build(node, "id, j")


def order_by(renderer: Renderer, node: Node, t: str) -> str:
    """The sort of a node's rows. The embedded instance keeps the order in which rows were loaded."""
    columns: tuple[str, ...] = node.order
    if renderer.rules.stored and node.many:
        columns = next(
            ((column,) for column in ("id", "relative_order") if column in node.primary_key), ("ctid",)
        )
    there = [c for c in columns if c == "ctid" or renderer.catalog.has(node.table, c.split(" ", 1)[0])]
    return ", ".join(f"{t}.{column}" for column in there or node.primary_key[:1])


def conditions(renderer: Renderer, node: Node, t: str) -> list[str]:
    """The node's own conditions, without the link to its parent.

    The embedded instance (``stored``) holds what an archive had, and all of it is exported again. A condition
    on a column that an older GitLab lacks sorts out what that GitLab could not have.
    """
    found = [f"{t}.{column} = '{value}'" for column, value in node.where]
    if node.condition and not renderer.rules.stored:
        columns = re.findall(r"\{t\}\.(\w+)", node.condition)
        if all(renderer.catalog.has(node.table, column) for column in columns):
            found.append(node.condition.format(t=t))
    return found


class _Builder:
    def __init__(self, renderer: Renderer, databases: frozenset[str], *, pruned: bool) -> None:
        self.renderer = renderer
        self.pruned = pruned
        self.databases = databases
        self.ctes: list[str] = []
        self.missing: list[str] = []
        self.elsewhere: list[tuple[str, Node]] = []
        self.count = 0

    def build(self, root: Node, output: str) -> Query:
        select = self._select(root, None, root.name)
        if output != "j":
            select = select.replace("SELECT ", "SELECT t0.id, ", 1)
        ctes = "WITH " + ",\n".join(self.ctes) + "\n" if self.ctes else ""
        return Query(ctes + select, tuple(self.missing), tuple(self.elsewhere))

    def _select(self, node: Node, parent: str | None, path: str) -> str:
        """``SELECT <parent's key> AS k, <json> AS j`` of a node; its CTEs are appended first."""
        number = self.count
        self.count += 1
        t = f"t{number}"
        wanted = [c for c in node.children if not without_license(self.renderer.rules, node.table, c.name)]
        children = [child for child in wanted if self._readable(node, child, path)]
        local = [child for child in children if child.database in self.databases]
        place = len(self.ctes)
        joined = []
        for child in local:
            name = f"j{self.count}"
            child_select = self._select(child, f"r{number}", f"{path}.{child.name}")
            self.ctes.append(f"{name} AS ({child_select})")
            joined.append((child, name))
        json = self._object(node, t, path, children, {c.name: j for c, j in joined})
        joins = "".join(f"\nLEFT JOIN {j} ON {j}.k = {t}.{c.parent_key}" for c, j in joined)
        rows = self._rows(node, parent, t, json + joins)
        if parent is None and not joined:
            rows = rows.removeprefix("SELECT ")
            return f"SELECT {json} AS j FROM (SELECT {rows}) {t}"
        source = f"({rows}) {t}"
        if joined:
            self.ctes.insert(place, f"r{number} AS MATERIALIZED ({rows})")
            self._overlay(node, number, place)
            source = f"r{number} {t}"
        if parent is None:
            return f"SELECT {json} AS j FROM {source}{joins}"
        if node.many:
            order = order_by(self.renderer, node, t).replace(".ctid", ".row_place")
            return (
                f"SELECT {t}.parent_key AS k, string_agg({json}, ',' ORDER BY {order}) AS j"
                f" FROM {source}{joins} {self._parent_join(node, parent, t)}GROUP BY 1"
            )
        return f"SELECT {t}.parent_key AS k, {json} AS j FROM {source}{joins}"

    def _parent_join(self, node: Node, parent: str, t: str) -> str:
        """Diffs in files of their own are named by the diff's row."""
        if node.table == "merge_request_diff_files" and reads_external_diffs(self.renderer):
            return f"JOIN {parent} p ON p.id = {t}.parent_key "
        return ""

    def _rows(self, node: Node, parent: str | None, t: str, used_in: str) -> str:
        """The rows of a node with the columns that ``used_in`` needs, and the parent's key."""
        used = _COLUMN.findall(f"{used_in} {order_by(self.renderer, node, t)}")
        columns = {column for alias, column in used if alias == t}
        columns -= {"parent_key", "row_place"}
        columns |= self._columns_for_children(node)
        if parent is None and node.many:
            columns.add("id")
        listed = [f"t.{column}" for column in sorted(columns - {"ctid"})]
        if "ctid" in columns:
            listed.append("t.ctid AS row_place")
        link = self._link(node, parent)
        where = link.conditions
        if not (parent is None and node.many):  # ids say all, those of inherited members too
            where = [*where, *conditions(self.renderer, node, "t")]
        distinct = order = ""
        if not node.many and not node.belongs_to and node.primary_key != (node.child_key,):
            distinct = f"DISTINCT ON ({link.key}) "
            order = f" ORDER BY {link.key}, {order_by(self.renderer, node, 't')}"
        selected = ", ".join([f"{link.key} AS parent_key", *listed])
        return f"SELECT {distinct}{selected} FROM {link.tables} WHERE {' AND '.join(where)}{order}"

    def _columns_for_children(self, node: Node) -> set[str]:
        table = node.table
        columns = {
            child.parent_key for child in node.children if self.renderer.catalog.has(table, child.parent_key)
        }
        columns |= {
            child.partition_key[1]
            for child in node.children
            if child.partition_key and self.renderer.catalog.has(table, child.partition_key[1])
        }
        if table == "merge_request_diffs" and reads_external_diffs(self.renderer):
            read = {"id", "merge_request_id", "stored_externally", "external_diff_store"}
            columns |= read & set(self.renderer.catalog.tables[table])
        if table == "merge_request_diff_commits":
            columns |= {"merge_request_commits_metadata_id"} & set(self.renderer.catalog.tables[table])
        return columns

    def _link(self, node: Node, parent: str | None) -> _Link:
        table = self.renderer.catalog.name(node.table)
        if parent is None:
            key = "t.id" if node.many else f"t.{node.child_key}"
            link = _Link(f"{table} t", key, [f"{key} = ANY({_IDS})"])
            if self.pruned and self.renderer.catalog.has(node.table, "partition_id"):
                link.conditions.append(f"t.partition_id = {_PARTITION}")
            return link
        keys = f"ARRAY(SELECT {node.parent_key} FROM {parent})"
        if node.through:
            x = node.through
            tables = f"{x.table} x JOIN {table} t ON t.id = x.{x.to_child}"
            return _Link(tables, f"x.{x.to_parent}", [f"x.{x.to_parent} = ANY({keys})"])
        link = _Link(f"{table} t", f"t.{node.child_key}", [f"t.{node.child_key} = ANY({keys})"])
        self._by_partition(link, node, parent)
        if node.table == "merge_request_commits_metadata":
            link.conditions.append(f"t.project_id = {PROJECT}")
        return link

    def _by_partition(self, link: _Link, node: Node, parent: str) -> None:
        """Only rows of the parent's partition, as GitLab's associations say; fewer partitions are read."""
        if node.partition_key is None or not self.renderer.catalog.has(node.table, node.partition_key[0]):
            return
        own, parents = node.partition_key
        if self.pruned:
            link.conditions.append(f"t.{own} = {_PARTITION}")
        elif own == "partition_id":
            link.tables += (
                f" JOIN {parent} p ON p.{node.parent_key} = t.{node.child_key} AND p.{parents} = t.{own}"
            )
            link.conditions.append(f"t.{own} = ANY(ARRAY(SELECT {parents} FROM {parent}))")

    def _overlay(self, node: Node, number: int, place: int) -> None:
        """Commits whose data moved to ``merge_request_commits_metadata`` read it from there (GitLab 18)."""
        catalog = self.renderer.catalog
        if node.table != "merge_request_diff_commits" or not (
            not self.renderer.rules.stored
            and catalog.has("merge_request_commits_metadata")
            and catalog.has("merge_request_diff_commits", "merge_request_commits_metadata_id")
        ):
            return
        own = self.ctes[place].replace(f"r{number} AS", f"o{number} AS", 1)
        selected = own[own.index("SELECT ") + 7 : own.index(" FROM ")]
        names = [column.split(" AS ")[-1].removeprefix("t.") for column in selected.split(", ")]
        moved = set(catalog.tables["merge_request_commits_metadata"]) - {"id", "project_id"}
        columns = ", ".join(
            f"CASE WHEN m.id IS NULL THEN o.{name} ELSE m.{name} END AS {name}"
            if name in moved
            else f"o.{name}"
            for name in names
        )
        metadata = (
            f"SELECT * FROM merge_request_commits_metadata WHERE project_id = {PROJECT}"
            f" AND id = ANY(ARRAY(SELECT merge_request_commits_metadata_id FROM o{number}))"
        )
        joined = f"o{number} o LEFT JOIN ({metadata}) m ON m.id = o.merge_request_commits_metadata_id"
        self.ctes[place : place + 1] = [own, f"r{number} AS MATERIALIZED (SELECT {columns} FROM {joined})"]

    def _readable(self, node: Node, child: Node, path: str) -> bool:
        catalog = self.renderer.catalog
        there = catalog.has(node.table, child.parent_key)
        if child.database in self.databases:
            link = child.through.table if child.through else child.table
            key = child.through.to_parent if child.through else child.child_key
            needed = [column for column, _ in child.where]
            there = there and all(catalog.has(child.table, column) for column in needed)
            there = there and catalog.has(child.table) and catalog.has(link, key)
        if not there:
            self.missing.append(f"{path}.{child.name}")
        return there

    def _object(self, node: Node, t: str, path: str, children: list[Node], joined: dict[str, str]) -> str:
        texts = _Texts()
        texts.literal("{")
        comma = ""
        for attribute in node.attributes:
            sql = self.renderer.attribute(node.table, attribute, t)
            if sql is None:
                self.missing.append(f"{path}.{attribute}")
                continue
            texts.literal(f'{comma}"{attribute}":')
            texts.value(sql)
            comma = ","
        for child in children:
            if child.name in joined:
                self._child(texts, node, t, child, joined[child.name])
            else:
                self._elsewhere(texts, t, child, f"{path}.{child.name}")
        texts.literal("}")
        return texts.concat()

    def _elsewhere(self, texts: _Texts, t: str, child: Node, path: str) -> None:
        self.elsewhere.append((path, child))
        key = f"json_build_array('{path}', {t}.{child.parent_key})::text"
        texts.expression(f"CASE WHEN {t}.{child.parent_key} IS NOT NULL THEN {marker('q', key)} END")

    def _child(self, texts: _Texts, node: Node, t: str, child: Node, joined: str) -> None:
        if child.many:
            texts.literal(f',"{child.name}":[')
            texts.expression(f"{joined}.j")
            texts.literal("]")
            return
        found = object_or_stand_in(self.renderer, node, child, t, f"{joined}.j")
        texts.expression(f"',\"{child.name}\":' || {found}")


@dataclass(slots=True)
class _Link:
    """Where a node's rows come from, and by which column they belong to their parent."""

    tables: str
    key: str
    conditions: list[str]
