"""Rows on their way into the database: collected per table, sent by COPY, all in the caller's transaction."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from export_core.errors import ArchiveInvalid, SourceUnavailable
from export_core.gitlab.ddl import quoted
from export_core.sources.embedded.loader_report import SEE_VERIFY

if TYPE_CHECKING:
    import psycopg

FLUSH_BYTES = 8 << 20
"""Bytes of JSON after which rows are sent: enough for long COPYs, little enough to stay small in memory."""


@dataclass(slots=True)
class TableRows:
    """Rows of one table that wait to be sent; a row is a list in the order of ``columns``."""

    table: str
    columns: tuple[str, ...]
    rows: list[list[Any]] = field(default_factory=list)


@dataclass(slots=True)
class RowSender:
    """Sends waiting rows."""

    connection: psycopg.Connection[Any]
    tables: list[TableRows] = field(default_factory=list)
    sent: Counter[str] = field(default_factory=Counter)
    _waiting: int = 0

    def table(self, name: str, columns: tuple[str, ...]) -> TableRows:
        """A new collection for a table."""
        rows = TableRows(name, columns)
        self.tables.append(rows)
        return rows

    def count(self, size: int) -> None:
        """Say that ``size`` bytes of JSON became rows; sends when there is enough."""
        self._waiting += size
        if self._waiting >= FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Send everything. Raises ArchiveInvalid when a value does not fit its column."""
        self._waiting = 0
        for rows in self.tables:
            if rows.rows:
                self._send(rows)
                self.sent[rows.table] += len(rows.rows)
                rows.rows.clear()

    def _send(self, rows: TableRows) -> None:
        import psycopg

        columns = ", ".join(quoted(column) for column in rows.columns)
        try:
            with self.connection.cursor().copy(f"COPY {rows.table} ({columns}) FROM STDIN") as copy:
                write = copy.write_row
                for row in rows.rows:
                    write(row)
        except (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError) as exc:
            raise ArchiveInvalid(
                f"the archive holds a value that {rows.table} cannot take: {_first_lines(exc)}",
                hint=SEE_VERIFY,
            ) from exc
        except psycopg.OperationalError as exc:
            raise SourceUnavailable(
                f"the embedded instance failed while loading {rows.table}: {_first_lines(exc)}",
                hint="is there room left on its disk?",
            ) from exc


def _first_lines(exc: Exception) -> str:
    return "; ".join(line.strip() for line in str(exc).splitlines()[:2])[:400]
