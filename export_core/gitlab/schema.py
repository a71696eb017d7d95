"""The tables of GitLab 18.9 as data, read from ``schema.txt`` beside this file (which explains its format).

Source of the facts: GitLab 18.9, db/structure.sql. ``export_core.gitlab.ddl`` makes tables from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

TYPES: Mapping[str, str] = MappingProxyType(
    {
        "big": "bigint",
        "int": "integer",
        "small": "smallint",
        "bool": "boolean",
        "str": "character varying",
        "text": "text",
        "time": "timestamp without time zone",
        "timetz": "timestamp with time zone",
        "bytes": "bytea",
        "json": "jsonb",
        "date": "date",
        "uuid": "uuid",
        "float": "double precision",
        "tsvector": "tsvector",
    }
)
"""The short words of ``schema.txt`` and the types that PostgreSQL's catalog calls by longer ones."""

_COLUMN = re.compile(
    r"(?P<name>\w+):(?P<type>\w+)(?:\((?P<size>\d+)\))?(?P<array>\[\])?(?P<required>!)?"
    r"(?:=(?P<default>'(?:[^']|'')*'(?:::\w+)?|\S+))?(?:\s+|$)"
)
_SEQUENCE = re.compile(r"nextval\('(\w+)'")


@dataclass(frozen=True, slots=True)
class Column:
    """One column. ``type`` and ``default`` are written as PostgreSQL's catalog writes them."""

    type: str
    nullable: bool
    default: str | None

    @property
    def sequence(self) -> str | None:
        """The sequence that the default takes numbers from, if it takes any."""
        match = _SEQUENCE.match(self.default or "")
        return match[1] if match else None


@dataclass(frozen=True, slots=True)
class Table:
    """One table, with what a declaration needs beyond its columns."""

    name: str
    columns: Mapping[str, Column]
    """In physical order."""
    primary_key: tuple[str, ...] = ("id",)
    partition: tuple[str, str] | None = None
    """(method, column): ``list``, ``hash`` or ``range``."""
    part_of: tuple[str, str] | None = None
    """(table, value): the partition of a list-partitioned table for this value."""
    assigned: str | None = None
    """The sequence of its ids where no column default names one (a trigger in GitLab)."""
    indexes: tuple[tuple[str, ...], ...] = ()
    uniques: tuple[tuple[str, ...], ...] = ()


@lru_cache(maxsize=1)
def tables() -> Mapping[str, Table]:
    """All tables by name."""
    text = Path(__file__).with_name("schema.txt").read_text(encoding="utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    parsed = (_table(paragraph) for paragraph in lines.strip().split("\n\n"))
    return MappingProxyType({table.name: table for table in parsed})


def _table(paragraph: str) -> Table:
    name, *lines = paragraph.strip().splitlines()
    columns = dict(_columns(name, " ".join(line.strip() for line in lines if line[2] != "@")))
    notes = [line.strip()[1:].split() for line in lines if line[2] == "@"]
    said = {word: tuple(values) for word, *values in notes}
    return Table(
        name,
        MappingProxyType(columns),
        primary_key=said.get("key", ("id",)),
        partition=_pair(said.get("partition")),
        part_of=_pair(said.get("part_of")),
        assigned=said["assigned"][0] if "assigned" in said else None,
        indexes=tuple(tuple(values) for word, *values in notes if word == "index"),
        uniques=tuple(tuple(values) for word, *values in notes if word == "unique"),
    )


def _pair(values: tuple[str, ...] | None) -> tuple[str, str] | None:
    return (values[0], values[1]) if values else None


def _columns(table: str, text: str) -> Iterator[tuple[str, Column]]:
    position = 0
    while position < len(text):
        match = _COLUMN.match(text, position)
        if match is None:
            raise ValueError(f"schema.txt: table {table}: cannot read {text[position : position + 40]!r}")
        position = match.end()
        yield match["name"], _column(table, match)


def _column(table: str, match: re.Match[str]) -> Column:
    element = TYPES[match["type"]]
    # PostgreSQL writes the cast of a default without the length of the type.
    kind = element + (match["array"] or "")
    default = match["default"]
    if default is not None:
        default = _default(default, kind, f"{table}_{match['name']}_seq")
    return Column(_sized(element, match["size"]) + (match["array"] or ""), not match["required"], default)


def _sized(element: str, size: str | None) -> str:
    word, blank, rest = element.partition(" ")
    if size is None:
        return element
    if word == "timestamp":
        return f"{word}({size}){blank}{rest}"
    return f"{element}({size})"


def _default(text: str, kind: str, own_sequence: str) -> str:
    if text == "seq":
        return f"nextval('{own_sequence}'::regclass)"
    if text.startswith("seq("):
        return f"nextval('{text[4:-1]}'::regclass)"
    return f"{text}::{kind}" if text.endswith("'") else text
