"""The tables and columns that a database really has: GitLab 15 to 18 differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

_OLD_NAMES = {"p_ci_builds": "ci_builds", "p_ci_pipelines": "ci_pipelines", "p_ci_stages": "ci_stages"}
"""Tables that were not partitioned before GitLab 16 and 17; where both exist the old one is a partition."""

_COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, NULL)
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relname = ANY(%s) AND pg_table_is_visible(c.oid)
ORDER BY c.relname, a.attnum
"""


@dataclass(frozen=True, slots=True)
class Catalog:
    """``tables[table][column]`` is the column's type as PostgreSQL names it."""

    tables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    """What this database calls tables that have another name in GitLab 18.9."""

    def name(self, table: str) -> str:
        """The name by which SQL reaches a table."""
        return self.names.get(table, table)

    def in_use(self) -> list[str]:
        """The tables that exist, as this database calls them."""
        return sorted({self.name(table) for table in self.tables})

    def has(self, table: str, column: str | None = None) -> bool:
        """Whether a table, or a column of it, exists."""
        columns = self.tables.get(table)
        return columns is not None and (column is None or column in columns)

    def type(self, table: str, column: str) -> str | None:
        """The type of a column; None when it does not exist."""
        return self.tables.get(table, {}).get(column)


def read_catalog(connection: psycopg.Connection[Any], tables: list[str]) -> Catalog:
    """What a database has of ``tables``, under their names of GitLab 18.9."""
    wanted = [*tables, *(old for table, old in _OLD_NAMES.items() if table in tables)]
    found: dict[str, dict[str, str]] = {}
    for table, column, type_name in connection.execute(_COLUMNS, (wanted,)):
        found.setdefault(table, {})[column] = type_name
    names = {table: old for table, old in _OLD_NAMES.items() if table not in found and old in found}
    for table, old in names.items():
        found[table] = found[old]
    return Catalog({table: columns for table, columns in found.items() if table in tables}, names)
