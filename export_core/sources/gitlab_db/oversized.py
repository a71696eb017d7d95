"""Records too large for one statement: put together piece by piece, written as they come.

PostgreSQL cannot hold a value above 1 GB, and a line of some hundred megabytes should not pass through two
memories at once. A large diff is fetched alone; a record with very many children is read in batches of
children. The line is the same JSON value, its keys in another order.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import replace

from export_core.gitlab.tree import Node
from export_core.sources.gitlab_db.renderings import Renderer
from export_core.sources.gitlab_db.sql import conditions, order_by
from export_core.sources.gitlab_db.statements import Statements, Unreadable
from export_core.sources.gitlab_db.values import Resolver, decoded_diff

_BIG_MARKER = re.compile(rb"\x01D([^\x02]*)\x02")
_FIRST_BATCH, _MOST_BATCH = 8, 500
_BATCH_BYTES = 8 << 20
"""Children are read in batches that grow and shrink towards this size."""
_SLICE = 1 << 20


def with_big_diffs(statements: Statements, resolver: Resolver, node: Node, record: int) -> Iterator[bytes]:
    """The line of a merge request whose diffs are large, in pieces. Raises Unreadable, MissingValue."""
    for line in statements.lines(node, [record], stream_diffs=True):
        yield from _streamed(statements, resolver, line)


def child_by_child(statements: Statements, resolver: Resolver, node: Node, record: int) -> Iterator[bytes]:
    """The line of any record, its lists read in batches. Raises Unreadable, MissingValue."""
    apart = [child for child in node.children if _can_stand_alone(child)]
    rest = replace(node, children=tuple(child for child in node.children if child not in apart))
    lines = statements.lines(rest, [record], stream_diffs=_has_diffs(node))
    for line in lines:
        yield from _streamed(statements, resolver, line[:-1])
        for child in apart:
            yield b',"%s":[' % child.name.encode()
            yield from _children(statements, resolver, node, child, record)
            yield b"]"
        yield b"}"


def _can_stand_alone(child: Node) -> bool:
    return child.many and child.primary_key[0] == "id" and child.through is None and child.parent_key == "id"


def _has_diffs(node: Node) -> bool:
    return any(inner.table == "merge_request_diff_files" for _, inner in node.walk())


def _streamed(statements: Statements, resolver: Resolver, line: bytes) -> Iterator[bytes]:
    at = 0
    for found in _BIG_MARKER.finditer(line):
        yield resolver.resolve(line[at : found.start()])
        yield from _diff(statements, *json.loads(found[1]))
        at = found.end()
    yield resolver.resolve(line[at:])


def _children(
    statements: Statements, resolver: Resolver, node: Node, child: Node, parent: int
) -> Iterator[bytes]:
    renderer = statements.renderer(child)
    where = [*conditions(renderer, child, "t"), *_of_partition(renderer, node, child)]
    ids = statements.ids(child, parent, where, order_by(renderer, child, "t"))
    comma, at, size = b"", 0, _FIRST_BATCH
    while at < len(ids):
        batch = ids[at : at + size]
        try:
            lines = statements.lines(child, batch)
        except Unreadable:
            if size > 1:
                size = 1
                continue
            yield comma
            yield from child_by_child(statements, resolver, child, batch[0])
            comma, at = b",", at + 1
            continue
        weight = 0
        for line in lines:
            weight += len(line)
            yield comma + resolver.resolve(line)
            comma = b","
        at += len(batch)
        size = min(_MOST_BATCH, size * 2) if weight < _BATCH_BYTES // 2 else max(1, size // 2)


def _of_partition(renderer: Renderer, node: Node, child: Node) -> Iterator[str]:
    """Only children in the partition of their parent, as in the usual statement."""
    if child.partition_key is None or child.partition_key[0] != "partition_id":
        return
    own, parents = child.partition_key
    if renderer.catalog.has(child.table, own) and renderer.catalog.has(node.table, parents):
        table = renderer.catalog.name(node.table)
        yield f"t.{own} = ANY(ARRAY(SELECT o.{parents} FROM {table} o WHERE o.id = t.{child.child_key}))"


def _diff(statements: Statements, diff_id: int, relative_order: int) -> Iterator[bytes]:
    """A diff as a JSON text, escaped slice by slice."""
    where = "FROM merge_request_diff_files WHERE merge_request_diff_id = %s AND relative_order = %s"
    key = (diff_id, relative_order)
    text: bytes = statements.value(f"SELECT diff {where}", key) or b""
    yield b'"'
    if not (text[:4096].strip() or text.strip()):
        text = b""  # GitLab's rule: blank is empty
    if statements.value(f'SELECT coalesce("binary", false) {where}', key):
        yield json.dumps(decoded_diff(text.decode()), ensure_ascii=False)[1:-1].encode()
    else:
        decoder = codecs.getincrementaldecoder("utf-8")()
        for start in range(0, len(text), _SLICE):
            piece = decoder.decode(text[start : start + _SLICE])
            yield json.dumps(piece, ensure_ascii=False)[1:-1].encode()
    yield b'"'
