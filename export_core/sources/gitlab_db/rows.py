"""Reads the rows of one relation as JSON lines, batch by batch."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from export_core.errors import RelationFailed
from export_core.gitlab.tree import Node
from export_core.job import MISSING
from export_core.source import Part, Sink
from export_core.sources.gitlab_db import oversized
from export_core.sources.gitlab_db.batches import (
    DIFF_BATCH_BYTES,
    by_weight,
    cut_of,
    ids_in,
    rows_that_fit,
)
from export_core.sources.gitlab_db.statements import Statements, Unreadable
from export_core.sources.gitlab_db.values import MissingValue

if TYPE_CHECKING:
    from export_core.sources.gitlab_db.reader import GitlabReader

_LATEST_DIFFS = (
    "ARRAY(SELECT max(n.id) FROM merge_request_diffs n WHERE n.merge_request_id = ANY(%s::bigint[])"
    " AND n.diff_type = 1 GROUP BY n.merge_request_id)"
)
_DIFF_SIZES = (
    "SELECT d.merge_request_id, sum(octet_length(f.diff))::bigint"
    " FROM merge_request_diffs d JOIN merge_request_diff_files f ON f.merge_request_diff_id = d.id"
    f" WHERE d.id = ANY({_LATEST_DIFFS}) AND f.merge_request_diff_id = ANY({_LATEST_DIFFS}) GROUP BY 1"
)
_LONGEST_LINE = 50 << 20
"""GitLab's importer reads lines up to 50 MiB; a longer one is exported, with a warning."""


class RelationRows:
    """One relation on one worker's connections."""

    def __init__(self, reader: GitlabReader, statements: Statements, node: Node) -> None:
        self._reader = reader
        self._statements = statements
        self._node = node
        self._row_bytes: float | None = None
        """Of the last statement's lines, on average."""

    def write(self, part: Part, sink: Sink) -> None:
        """Write all lines of a part. Raises RelationFailed naming relation, part and record."""
        if not self._node.many:
            self._write_single(part, sink)
            return
        for ids, large in self._batches(part):
            sink.check_stop()
            begun = time.monotonic()
            if large:
                self._write_large(part, ids[0], sink)
            else:
                self._write_batch(part, ids, sink)
            self._pass_on_warnings(part, sink)
            self._reader.rest(time.monotonic() - begun, sink.check_stop)

    def _write_single(self, part: Part, sink: Sink) -> None:
        try:
            lines = self._lines(part, ids_in(part.payload["ids"]))
        except Unreadable as exc:
            raise _failed(part, str(exc)) from exc
        sink.write(lines[0] if lines else b"null")
        sink.lines(len(lines))
        self._pass_on_warnings(part, sink)

    def _batches(self, part: Part) -> Iterator[tuple[list[int], bool]]:
        """Ids of one statement each, and whether it is a single record with large diffs."""
        ids, usual = ids_in(part.payload["ids"]), cut_of(part.relation).batch
        sizes = self._diff_sizes(ids) if part.relation == "merge_requests" else {}
        for batch in by_weight(ids, sizes, lambda: rows_that_fit(usual, self._row_bytes), DIFF_BATCH_BYTES):
            yield batch, sizes.get(batch[0], 0) > DIFF_BATCH_BYTES

    def _diff_sizes(self, ids: list[int]) -> dict[int, int]:
        """Bytes of diffs by merge request; PostgreSQL knows them without reading the texts."""
        catalog = self._reader.renderer("main").catalog
        if not (
            catalog.has("merge_request_diff_files", "diff")
            and catalog.has("merge_request_diffs", "diff_type")
        ):
            return {}
        rows = self._reader.connection("main").execute(_DIFF_SIZES, (ids, ids), prepare=True)
        return {int(row[0]): int(row[1] or 0) for row in rows}

    def _write_batch(self, part: Part, ids: Sequence[int], sink: Sink) -> None:
        """Write a batch; when PostgreSQL cannot make it, halve it until the record is found."""
        try:
            lines = self._lines(part, ids)
        except Unreadable as exc:
            if len(ids) == 1:
                self._write_large(part, ids[0], sink, refused=str(exc))
                return
            middle = len(ids) // 2
            self._write_batch(part, ids[:middle], sink)
            self._write_batch(part, ids[middle:], sink)
            return
        text = b"\n".join([*lines, b""])
        self._row_bytes = len(text) / max(len(lines), 1)
        sink.lines(len(lines))
        sink.write(text)
        for line in lines:
            if len(line) > _LONGEST_LINE:
                _warn_of_length(part, len(line), line, sink)

    def _write_large(self, part: Part, record: int, sink: Sink, *, refused: str | None = None) -> None:
        """Write one record piece by piece: its diffs apart, or, ``refused`` whole, all its lists."""
        ways = (oversized.with_big_diffs, oversized.child_by_child)
        for way in ways if refused is None else ways[1:]:
            pieces = way(self._statements, self._reader.resolver, self._node, record)
            try:
                first = next(pieces, None)
            except Unreadable as exc:
                refused = str(exc)
                continue
            except MissingValue as exc:
                raise _failed(part, f"record with id {record}: {exc}") from exc
            if first is not None:
                self._write_pieces(part, record, first, pieces, sink)
            return
        raise _failed(part, f"record with id {record} cannot be read: {refused}")

    def _write_pieces(self, part: Part, record: int, first: bytes, rest: Iterator[bytes], sink: Sink) -> None:
        length = len(first)
        sink.write(first)
        try:
            for piece in rest:
                sink.check_stop()
                sink.write(piece)
                length += len(piece)
        except (Unreadable, MissingValue) as exc:
            raise _failed(part, f"record with id {record}: {exc}") from exc
        sink.write(b"\n")
        sink.lines(1)
        if length > _LONGEST_LINE:
            _warn_of_length(part, length, first, sink)

    def _lines(self, part: Part, ids: Sequence[int]) -> list[bytes]:
        lines = self._statements.lines(self._node, ids, part.payload.get("partition"))
        return [
            self._resolved(part, ids, place, line) if b"\x01" in line else line
            for place, line in enumerate(lines)
        ]

    def _resolved(self, part: Part, ids: Sequence[int], place: int, line: bytes) -> bytes:
        record = f"record with id {ids[place]}" if place < len(ids) else "a record"
        resolver = self._reader.resolver
        known = len(resolver.warnings)
        try:
            whole = resolver.resolve(line)
        except MissingValue as exc:
            raise _failed(part, f"{record}: {exc}") from exc
        resolver.warnings[known:] = [f"{record}: {what}" for what in resolver.warnings[known:]]
        return whole

    def _pass_on_warnings(self, part: Part, sink: Sink) -> None:
        resolver = self._reader.resolver
        while resolver.warnings:
            sink.warn(f"{MISSING}{part.relation}: {resolver.warnings.pop(0)}")


def _failed(part: Part, what: str) -> RelationFailed:
    return RelationFailed(
        part.relation,
        what,
        part=part.number,
        hint="mend it in the source, or --allow-missing to export what is left and list it",
    )


def _warn_of_length(part: Part, length: int, beginning: bytes, sink: Sink) -> None:
    said = beginning[:60].decode(errors="replace")
    sink.warn(
        f"{part.relation}: a line of {length >> 20} MiB ({said}...) is longer than the 50 MiB"
        " that GitLab's importer reads"
    )
