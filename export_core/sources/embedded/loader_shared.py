"""Rows that several places of an archive show: found again by their content, so that each is made once.

An archive tells no ids for labels, milestones, epics and the like; the same label is written out wherever it
is used. Equal content is one row, different content is different rows.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from export_core.gitlab.enums import ENUMS
from export_core.sources.embedded.loader_plan import RowPlan, nodes

SHARED_TABLES = frozenset(node.table for node in nodes() if node.belongs_to or node.through)
_SHOWN: Mapping[str, frozenset[str]] = {
    table: frozenset(
        child.name
        for node in nodes(table)
        if node.belongs_to or node.through
        for child in node.children
        if child.table != "users"
    )
    for table in SHARED_TABLES
}
"""Children by which places that show a table's rows may differ."""


@dataclass(slots=True)
class SharedRow:
    """A row, and what was below it where it was first shown."""

    row_id: int
    children: dict[str, bytes]


@dataclass(slots=True)
class SharedRows:
    """All rows of one import that may be shown again."""

    _rows: dict[str, dict[bytes, list[SharedRow]]] = field(default_factory=lambda: defaultdict(dict))

    def register(self, plan: RowPlan, record: Mapping[str, Any], row_id: int) -> None:
        """Remember a row by the record that it was made of."""
        row = SharedRow(row_id, _children(plan, record))
        self._rows[plan.node.table].setdefault(_key(plan, record), []).append(row)

    def find(self, plan: RowPlan, record: Mapping[str, Any], above: int) -> SharedRow | None:
        """The row with this content and an id larger than ``above``; of several, the one made last."""
        rows = self._rows[plan.node.table].get(_key(plan, record))
        if not rows:
            return None
        children = _children(plan, record)
        return next(
            (row for row in reversed(rows) if row.row_id > above and _same(plan, row, children)), None
        )

    def complete(
        self, plan: RowPlan, record: Mapping[str, Any], row: SharedRow
    ) -> Iterator[tuple[str, RowPlan]]:
        """Lists that this place shows and the earlier ones did not; they count as shown from now on."""
        missing = _children(plan, record).items() - row.children.items()
        for name, content in missing:
            row.children[name] = content
            yield from ((name, child) for listed, child in plan.lists if listed == name)

    def add_work_item_types(self, rows: Iterable[tuple[int, int]]) -> None:
        """Use the instance's own types: ``rows`` of (base_type, id)."""
        words = ENUMS["work_item_base_type"].words
        for base_type, row_id in rows:
            key = _digest([words.get(base_type)])
            self._rows["work_item_types"].setdefault(key, []).append(SharedRow(row_id, {}))


def _same(plan: RowPlan, row: SharedRow, children: Mapping[str, bytes]) -> bool:
    for child in plan.node.children:
        here, there = children.get(child.name), row.children.get(child.name)
        if here is not None and there is not None:
            if here != there:
                return False
        elif not child.many and here is not there:
            return False
    return True


def _children(plan: RowPlan, record: Mapping[str, Any]) -> dict[str, bytes]:
    shown = _SHOWN[plan.node.table]
    return {name: _digest(record[name]) for name in shown if name in record} if shown else {}


def _key(plan: RowPlan, record: Mapping[str, Any]) -> bytes:
    return _digest([record.get(attribute) for attribute in plan.content])


def _digest(value: Any) -> bytes:
    return blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=16).digest()
