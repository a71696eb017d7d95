"""Reads the rows of one relation as JSON lines, batch by batch."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from export_core.errors import RelationFailed
from export_core.gitlab.tree import Node
from export_core.source import Part, Sink
from export_core.sources.gitlab_db import lookups
from export_core.sources.gitlab_db.batches import DIFF_BATCH_BYTES, by_weight, cut_of, in_batches
from export_core.sources.gitlab_db.sql import Query, lookup_query, relation_query
from export_core.sources.gitlab_db.values import MissingValue

if TYPE_CHECKING:
    from export_core.sources.gitlab_db.reader import GitlabReader

_DIFF_SIZES = """
SELECT d.merge_request_id, sum(octet_length(f.diff))::bigint
FROM merge_request_diffs d JOIN merge_request_diff_files f ON f.merge_request_diff_id = d.id
WHERE d.id = ANY(ARRAY(SELECT max(n.id) FROM merge_request_diffs n
                       WHERE n.merge_request_id = ANY(%s::bigint[]) AND n.diff_type = 1
                       GROUP BY n.merge_request_id))
  AND f.merge_request_diff_id = ANY(ARRAY(SELECT max(n.id) FROM merge_request_diffs n
                       WHERE n.merge_request_id = ANY(%s::bigint[]) AND n.diff_type = 1
                       GROUP BY n.merge_request_id))
GROUP BY 1
"""
_LONGEST_LINE = 50 << 20
"""GitLab's importer reads lines up to 50 MiB; a longer one is exported, with a warning."""


class RelationRows:
    """The statements of one relation on one worker's connections."""

    def __init__(self, reader: GitlabReader, node: Node) -> None:
        self._reader = reader
        self._node = node
        self._queries: dict[bool, Query] = {}
        self._elsewhere: dict[str, Query] = {}

    def write(self, part: Part, sink: Sink) -> None:
        """Write all lines of a part. Raises RelationFailed naming relation, part and record."""
        if not self._node.many:
            self._write_single(part, sink)
            return
        for ids in self._batches(part):
            sink.check_stop()
            begun = time.monotonic()
            lines = self._lines(part, ids)
            sink.lines(len(lines))
            sink.write(b"\n".join([*lines, b""]))
            self._report(part, lines, sink)
            self._reader.rest(time.monotonic() - begun)

    def _write_single(self, part: Part, sink: Sink) -> None:
        lines = self._lines(part, part.payload["ids"])
        sink.write(lines[0] if lines else b"null")
        sink.lines(len(lines))

    def _batches(self, part: Part) -> Iterator[list[int]]:
        ids = part.payload["ids"]
        size = cut_of(part.relation).batch
        if part.relation != "merge_requests":
            return in_batches(ids, size)
        return by_weight(ids, self._diff_sizes(ids), size, DIFF_BATCH_BYTES)

    def _diff_sizes(self, ids: list[int]) -> dict[int, int]:
        """Bytes of diffs by merge request; PostgreSQL knows them without reading the texts."""
        catalog = self._reader.renderer("main").catalog
        if not catalog.has("merge_request_diff_files", "diff"):
            return {}
        rows = self._reader.connection("main").execute(_DIFF_SIZES, (ids, ids), prepare=True)
        return {int(row[0]): int(row[1] or 0) for row in rows}

    def _lines(self, part: Part, ids: list[int]) -> list[bytes]:
        query = self._query(pruned=part.payload.get("partition") is not None)
        values = {"ids": ids, "partition": part.payload.get("partition"), "project": self._project_id}
        connection = self._reader.connection(self._node.database)
        with connection.cursor(binary=True) as cursor:
            rows = cursor.execute(query.sql, values, prepare=True).fetchall()
        lines: list[bytes] = [row[0] for row in rows]
        if query.elsewhere:
            lines = lookups.fill(lines, self._fetch)
        return [
            self._resolved(part, line, place) if b"\x01" in line else line for place, line in enumerate(lines)
        ]

    def _resolved(self, part: Part, line: bytes, place: int) -> bytes:
        try:
            return self._reader.resolver.resolve(line)
        except MissingValue as exc:
            raise RelationFailed(
                part.relation,
                f"record {place + 1} of its batch ({line[:80].decode(errors='replace')}...): {exc}",
                part=part.number,
                hint="mend it in the source, or --allow-missing to export what is left and list it",
            ) from exc

    def _fetch(self, path: str, ids: list[int]) -> Mapping[int, bytes]:
        node, query = self._elsewhere_query(path)
        connection = self._reader.connection(node.database)
        with connection.cursor(binary=True) as cursor:
            values = {"ids": ids, "project": self._project_id}
            return {int(id): json for id, json in cursor.execute(query.sql, values, prepare=True)}

    @property
    def _project_id(self) -> int:
        return self._reader.token.project.id

    def _query(self, *, pruned: bool) -> Query:
        if pruned not in self._queries:
            database = self._node.database
            renderer = self._reader.renderer(database)
            beside = self._reader.settings.databases.beside(database)
            self._queries[pruned] = relation_query(renderer, self._node, pruned=pruned, databases=beside)
        return self._queries[pruned]

    def _elsewhere_query(self, path: str) -> tuple[Node, Query]:
        node = next(node for known, node in self._all_elsewhere() if known == path)
        if path not in self._elsewhere:
            renderer = self._reader.renderer(node.database)
            beside = self._reader.settings.databases.beside(node.database)
            self._elsewhere[path] = lookup_query(renderer, node, databases=beside)
        return node, self._elsewhere[path]

    def _all_elsewhere(self) -> Iterator[tuple[str, Node]]:
        for query in self._queries.values():
            yield from query.elsewhere

    def _report(self, part: Part, lines: list[bytes], sink: Sink) -> None:
        resolver = self._reader.resolver
        while resolver.warnings:
            sink.warn(f"{part.relation}: {resolver.warnings.pop(0)}")
        for line in lines:
            if len(line) > _LONGEST_LINE:
                said = line[:60].decode(errors="replace")
                sink.warn(
                    f"{part.relation}: a line of {len(line) >> 20} MiB ({said}...) is longer than the 50 MiB"
                    " that GitLab's importer reads"
                )
