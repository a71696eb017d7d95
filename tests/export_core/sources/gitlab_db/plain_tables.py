"""Whole tables as plain Python rows, read by ``SELECT *``; times and dates as PostgreSQL writes them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import psycopg
from psycopg.adapt import Loader
from psycopg.rows import dict_row

Row = dict[str, Any]
_AS_WRITTEN = ("timestamp", "timestamptz", "date", "float8", "float4", "uuid")


class _Written(Loader):
    def load(self, data: Any) -> str:
        return bytes(data).decode()


class PlainTables:
    """The tables of a GitLab in one database or several."""

    def __init__(self, dsns: Mapping[str, str], databases: Mapping[str, str]) -> None:
        self._dsns = dsns
        self._databases = databases
        self._rows: dict[str, list[Row]] = {}
        self._columns: dict[str, list[str] | None] = {}
        self._by: dict[tuple[str, str], dict[Any, list[Row]]] = {}

    def rows(self, table: str) -> list[Row]:
        """All rows of a table; none when the database does not have it."""
        if table not in self._rows:
            self._rows[table] = self._read(table)
        return self._rows[table]

    def has(self, table: str, column: str) -> bool:
        """Whether the database has this column."""
        self.rows(table)
        return column in (self._columns[table] or ())

    def where(self, table: str, column: str, value: Any) -> list[Row]:
        """The rows whose column equals a value that is not NULL."""
        if (table, column) not in self._by:
            found: dict[Any, list[Row]] = {}
            for row in self.rows(table):
                found.setdefault(row.get(column), []).append(row)
            self._by[table, column] = found
        return [] if value is None else self._by[table, column].get(value, [])

    def one(self, table: str, column: str, value: Any) -> Row | None:
        """The first such row by primary key id, or None."""
        rows = self.where(table, column, value)
        return min(rows, key=lambda row: row.get("id") or 0) if rows else None

    def _read(self, table: str) -> list[Row]:
        dsn = self._dsns.get(self._databases.get(table, "main")) or self._dsns["main"]
        with psycopg.connect(
            dsn, options="-c timezone=UTC", row_factory=dict_row, autocommit=True
        ) as connection:
            for name in _AS_WRITTEN:
                connection.adapters.register_loader(name, _Written)
            for known in (table, table.removeprefix("p_")):
                with suppress(psycopg.errors.UndefinedTable):
                    cursor = connection.execute(f"SELECT * FROM {known}")
                    self._columns[table] = [column.name for column in cursor.description or ()]
                    return cursor.fetchall()
        self._columns[table] = None
        return []
