"""Runs the generated statements on one worker's connections."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from export_core.gitlab.tree import RELATIONS, ROOT, Node
from export_core.sources.gitlab_db import lookups
from export_core.sources.gitlab_db.connections import reason
from export_core.sources.gitlab_db.renderings import Renderer, marker
from export_core.sources.gitlab_db.rules import reads_external_diffs
from export_core.sources.gitlab_db.sql import Query, lookup_query, relation_query

if TYPE_CHECKING:
    from export_core.sources.gitlab_db.reader import GitlabReader

RELATION_NODES: Mapping[str, Node] = {node.name: node for node in (ROOT, *RELATIONS)}
BIG_DIFF = 1 << 20
"""Bytes from which a diff is streamed by itself when its merge request is too large for one statement."""


class Unreadable(Exception):
    """PostgreSQL can not make these lines: too large for one value, or with data that it cannot render."""


class Statements:
    """Statements by node; each is made once and prepared."""

    def __init__(self, reader: GitlabReader) -> None:
        self._reader = reader
        self._queries: dict[tuple[int, bool, bool], tuple[Node, Query]] = {}
        self._lookups: dict[str, Query] = {}

    def lines(
        self, node: Node, ids: Sequence[int], partition: int | None = None, *, stream_diffs: bool = False
    ) -> list[bytes]:
        """One JSON text a row, in the order of ``ids``, with markers. Raises Unreadable.

        ``stream_diffs`` leaves markers (kind ``D``) in the place of large diffs.
        """
        query = self._query(node, pruned=partition is not None, stream_diffs=stream_diffs)
        # As one text: psycopg looks at each element of a list, which for a thousand ids takes milliseconds.
        listed = "{" + ",".join(map(str, ids)) + "}"
        values = {"ids": listed, "partition": partition, "project": self._reader.token.project.id}
        rows = self._fetch(node.database, query.sql, values)
        found = {int(row[0]): row[1] for row in rows} if node.many else {}
        lines = [found[id] for id in ids if id in found] if node.many else [row[0] for row in rows]
        return lookups.fill(lines, self._elsewhere(query)) if query.elsewhere else lines

    def ids(self, node: Node, parent: int, where: Sequence[str], order: str) -> list[int]:
        """Ids of a parent's children, in the order of the export."""
        conditions = " AND ".join([f"t.{node.child_key} = %s", *where])
        table = self.renderer(node).catalog.name(node.table)
        query = f"SELECT t.id FROM {table} t WHERE {conditions} ORDER BY {order}"
        return [int(row[0]) for row in self._fetch(node.database, query, (parent,))]

    def value(self, query: str, parameters: Sequence[Any]) -> Any:
        """The one value that a query gives; None when there is no row."""
        rows = self._fetch("main", query, parameters)
        return rows[0][0] if rows else None

    def renderer(self, node: Node) -> Renderer:
        """The renderer of the node's database."""
        return self._reader.renderer(node.database)

    def _fetch(self, database: str, sql: str, values: Any) -> list[Any]:
        import psycopg

        connection = self._reader.connection(database)
        too_much = (psycopg.DataError, psycopg.errors.ProgramLimitExceeded, psycopg.errors.OutOfMemory)
        try:
            with connection.cursor(binary=True) as cursor:
                return cursor.execute(sql, values, prepare=True).fetchall()
        except (*too_much, psycopg.InternalError) as exc:
            # The transaction is spoilt; a new connection joins the same snapshot.
            self._reader.reconnect(database)
            raise Unreadable(reason(exc)) from exc

    def _query(self, node: Node, *, pruned: bool, stream_diffs: bool) -> Query:
        beside = self._reader.settings.databases.beside(node.database)
        if node is RELATION_NODES.get(node.name) and not stream_diffs:
            knowledge = self._reader.knowledge
            return knowledge.query(self.renderer(node), node, pruned=pruned, databases=beside)
        key = (id(node), pruned, stream_diffs)
        if key not in self._queries:
            renderer = self.renderer(node)
            if stream_diffs:
                renderer = streaming(renderer)
            made = relation_query(renderer, node, pruned=pruned, databases=beside)
            self._queries[key] = (node, made)  # the node is kept so that its id stays its own
        return self._queries[key][1]

    def _elsewhere(self, query: Query) -> Callable[[str, list[int]], Mapping[int, bytes]]:
        nodes = dict(query.elsewhere)

        def fetch(path: str, ids: list[int]) -> Mapping[int, bytes]:
            node = nodes[path]
            if not self.renderer(node).catalog.has(node.table, "id"):
                return {}
            if path not in self._lookups:
                beside = self._reader.settings.databases.beside(node.database)
                self._lookups[path] = lookup_query(self.renderer(node), node, databases=beside)
            values = {"ids": ids, "project": self._reader.token.project.id}
            return {int(id): json for id, json in self._fetch(node.database, self._lookups[path].sql, values)}

        return fetch


def streaming(renderer: Renderer) -> Renderer:
    """A renderer that leaves large diffs out of the line."""
    usual = renderer.exceptions["merge_request_diff_files.utf8_diff"]

    def utf8_diff(r: Renderer, t: str) -> str | None:
        plain = usual(r, t)
        if plain is None:
            return None
        place = marker("D", f"json_build_array({t}.merge_request_diff_id, {t}.relative_order)::text")
        here = "p.stored_externally IS NOT TRUE AND " if reads_external_diffs(r) else ""
        return f"CASE WHEN {here}octet_length({t}.diff) >= {BIG_DIFF} THEN {place} ELSE {plain} END"

    rules = {**renderer.exceptions, "merge_request_diff_files.utf8_diff": utf8_diff}
    return replace(renderer, exceptions=rules)
