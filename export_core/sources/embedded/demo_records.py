"""Complete records of the relation tree out of a few given values: everything else is filled in by type.

The tree and the tables say what a record must have; so a relation that is added to the tree is in the
demonstration project, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from export_core.gitlab.enums import ENUM_COLUMNS, ENUMS
from export_core.gitlab.schema import tables
from export_core.gitlab.tree import PROJECT_SETTINGS_ATTRIBUTES, Node
from export_core.timestamps import to_text

Record = dict[str, Any]
Shared = Mapping[str, Callable[[Record], Record | None]]
"""Name of a referred object -> what to show of it, given the record that refers."""

PROJECT_ID = 1
_BEGIN = datetime(2024, 3, 4, 8, 0, tzinfo=UTC)
_PROJECTS = ("project_id", "source_project_id", "target_project_id")
_PEOPLE = ("author_id", "user_id", "owner_id")
_TIMES = ("created_at", "updated_at")


class Clock:
    """Times that go on by some minutes at every look: deterministic, and in the order of the story."""

    def __init__(self) -> None:
        self._looks = 0

    def __call__(self) -> str:
        """The next moment, as JSON writes it."""
        self._looks += 1
        moment = _BEGIN + timedelta(minutes=7 * self._looks, milliseconds=self._looks * 37 % 1000)
        return to_text(moment)


class RecordMaker:
    """Makes records. ``shared`` says what referred objects look like."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._clock = Clock()

    def make(self, node: Node, given: Mapping[str, Any], *, complete: bool = False) -> Record:
        """A record with ``given`` values. ``complete``: with at least one record of every child, too."""
        record = {name: self._value(node, name, given) for name in node.attributes}
        for child in node.children:
            value = self._child(child, {**given, **record}, complete=complete)
            if value is not None:
                record[child.name] = value
        return record

    def _child(self, node: Node, record: Record, *, complete: bool) -> Any:
        if node.name in record:
            given = record[node.name]
            if isinstance(given, list):
                return [self.make(node, item, complete=complete and not i) for i, item in enumerate(given)]
            return None if given is None else self.make(node, given, complete=complete)
        shared = self._shared.get(node.name)
        if shared is not None:
            shown = shared(record) if complete or node.name == "author" else None
            return None if shown is None else shape(node, shown)
        if node.many:
            return [self.make(node, {}, complete=True)] if complete else []
        return self.make(node, {}, complete=True) if complete else None

    def _value(self, node: Node, name: str, given: Mapping[str, Any]) -> Any:
        if name in given:
            return given[name]
        fixed = dict(node.where).get(name)
        if fixed is not None:
            return fixed
        if name in _PROJECTS:
            return PROJECT_ID
        if name in _PEOPLE:
            return 2
        if name in _TIMES:
            return self._clock()
        return _default(node.table, name)


def shape(node: Node, record: Record) -> Record:
    """A record as another place of the tree shows it: fewer attributes, fewer children."""
    shown = {name: record[name] for name in node.attributes}
    for child in node.children:
        below = record.get(child.name, [] if child.many else None)
        if isinstance(below, list):
            shown[child.name] = [shape(child, item) for item in below]
        elif below is not None:
            shown[child.name] = shape(child, below)
    return shown


def empty_places(node: Node, records: list[Record], path: str = "") -> Iterator[str]:
    """Paths of the tree that occur in none of the records."""
    here = f"{path}.{node.name}" if path else node.name
    if not records:
        yield here
    for child in node.children:
        found = [record[child.name] for record in records if child.name in record]
        below = [item for value in found for item in (value if isinstance(value, list) else [value])]
        yield from empty_places(child, below, here)


def _default(table: str, attribute: str) -> Any:
    """What a column holds when nobody said anything: null where it may be null."""
    place = "project_settings" if attribute in PROJECT_SETTINGS_ATTRIBUTES else table
    name, enum = ENUM_COLUMNS.get(f"{place}.{attribute}", (attribute, None))
    column = tables()[place].columns.get(name)
    if column is None or (column.nullable and column.default is None):
        return None
    value = _literal(column.default or _ZEROS.get(column.type, "''"))
    if enum is not None and isinstance(value, int):
        return ENUMS[enum].words.get(value)
    return value


_ZEROS = {
    "bigint": "0",
    "integer": "0",
    "smallint": "0",
    "boolean": "false",
    "timestamp with time zone": f"'{_BEGIN:%Y-%m-%dT%H:%M:%S}.000Z'",
    "timestamp without time zone": f"'{_BEGIN:%Y-%m-%dT%H:%M:%S}.000Z'",
    "date": f"'{_BEGIN:%Y-%m-%d}'",
    "bytea": f"'{'0' * 40}'",
}


def _literal(text: str) -> Any:
    """The value of a default as the catalog writes it: a number, a truth, a text, an array, an object."""
    if text in {"true", "false"}:
        return text == "true"
    if text == "now()":
        return _ZEROS["timestamp with time zone"].strip("'")
    if not text.startswith("'"):
        return int(text)
    content, _, kind = text[1:].partition("'")
    if kind.endswith("[]"):
        return [word for word in content.strip("{}").split(",") if word]
    if kind == "::jsonb":
        return {}
    return int(content) if kind == "::integer" else content
