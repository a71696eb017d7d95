"""A value for any column of any table: odd but legal, the same at every run."""

from __future__ import annotations

import re
import uuid
from typing import Any

from tests.export_core.sources.gitlab_db.facts import Column

TEXTS = (
    "plain",
    "quote \" and ' and \\ and / end",
    "controls \x01b[1,2]\x02 \x01q\x02 \x07\b\f\n\r\t\x1f\x7f",
    "<script>&amp;</script>",
    "separators \u2028 and \u2029",
    "emoji 🦉 and ümlaut 漢字",
    "",
    "percent %(ids)s %s %% {t} {braces} $1",
    '{"json":["like",null]}',
    "'; DROP TABLE projects; --",
    "  blanks around  ",
)
TIMES = (
    "2024-02-29 12:34:56.123456",
    "2019-12-31 23:59:59.999999",
    "2023-01-01 00:00:00",
    "2021-06-05 04:03:02.0009",
    "infinity",
    "1999-11-30 01:02:03.5",
)
FLOATS = (100.0, 98.76, float("nan"), 1e20, float("inf"), 0.1 + 0.2, -0.0, 1e-7)
ARRAYS: tuple[list[str], ...] = (["a", 'b "q"', "ü,{}"], [], ["NULL", ""])
JSONB: tuple[Any, ...] = (
    [{"a": 1.5, "b": [None, True]}],
    {"ü": "<&>", "n": 12345678901234567890},
    [],
    "text",
    None,
)


class Secrets:
    """A secret for every column that no export may read: short, unlike any other value, and known again."""

    def __init__(self) -> None:
        self.columns: dict[tuple[str, str], int] = {}

    def value(self, table: str, column: Column) -> Any:
        """The column's secret in its type; None where the type cannot hold one."""
        number = self.columns.setdefault((table, column.name), len(self.columns))
        text = f"S3{number:04d}x"
        if column.type == "bytea":
            return text.encode()
        if column.type == "jsonb":
            return {text: [text]}
        return [text] if column.type.endswith("[]") else text


def can_hold_secret(column: Column) -> bool:
    """Whether a secret fits into the column's type."""
    return column.type.startswith(("text", "character", "bytea", "jsonb"))


def value(column: Column, number: int) -> Any:
    """The ``number``-th value of a column."""
    kind = column.type
    if kind.startswith("timestamp"):
        return TIMES[number % len(TIMES)]
    if kind == "double precision":
        return FLOATS[number % len(FLOATS)]
    if kind in ("bigint", "integer", "smallint"):
        return (0, 1, 7, 20, 40, 32000)[number % 6]
    if kind.endswith("[]"):
        return [1, 2] if kind in ("bigint[]", "integer[]") else ARRAYS[number % len(ARRAYS)]
    others: dict[str, Any] = {
        "boolean": number % 2 == 0,
        "date": ("2024-02-29", "infinity", "1970-01-01")[number % 3],
        "bytea": bytes([number % 256, 0, 255, 10]) * (1 + number % 5),
        "jsonb": JSONB[number % len(JSONB)],
        "uuid": str(uuid.UUID(int=0xABCDEF << 64 | number)),
        "tsvector": "word",
    }
    return others[kind] if kind in others else _text(kind, number)


def _text(kind: str, number: int) -> str:
    limit = re.search(r"\((\d+)\)", kind)
    text = TEXTS[number % len(TEXTS)]
    return text[: int(limit[1])] if limit else text
