"""Makes GitLab's tables: the statements for the embedded instance, from ``schema.txt`` and the relation tree.

Types, defaults, sequences, primary keys and partitioning are GitLab's. Three things are not:

- NOT NULL is kept for primary keys only: old archives hold nulls where 18.9 allows none, and a null must
  survive the way in and out again. Foreign keys and checks are left out for the same reason.
- Indexes are those that reading the relation tree needs, and few more.
- the tables of ``KEPT_ATTRIBUTES`` have one more column, ``packmule_kept``: values that GitLab computes
  from the repository or a licence, kept as the archive had them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from export_core.gitlab.schema import Table, tables
from export_core.gitlab.tree import KEPT_ATTRIBUTES, RELATIONS, Node

KEPT_COLUMN = "packmule_kept"
"""Extra jsonb column of the tables of ``KEPT_ATTRIBUTES`` in the embedded instance."""

DYNAMIC_SCHEMA = "gitlab_partitions_dynamic"
STATIC_SCHEMA = "gitlab_partitions_static"
HASH_PARTITIONS = 64


def create_statements() -> Iterator[str]:
    """SQL statements, in order, that make all tables with their partitions, sequences and indexes."""
    yield from _table_statements()
    yield from _index_statements()


def upgrade_statements() -> Iterator[str]:
    """The same on tables that an older packmule made: what is missing is added, nothing is changed."""
    yield from _table_statements()
    for table in tables().values():
        yield from _missing_columns(table)
    yield from _index_statements()


def _table_statements() -> Iterator[str]:
    for schema in (DYNAMIC_SCHEMA, STATIC_SCHEMA):
        yield f"CREATE SCHEMA IF NOT EXISTS {schema}"
    for table in tables().values():
        yield from _sequences(table)
        yield _create(table)
    for table in tables().values():
        yield from _partitions(table)


def _index_statements() -> Iterator[str]:
    for table in tables().values():
        yield from _own_sequences(table)
        yield from _indexes(table)


def quoted(name: str) -> str:
    """An SQL identifier; some of GitLab's columns are reserved words (``when``, ``user``)."""
    return f'"{name}"'


def index_columns() -> frozenset[tuple[str, tuple[str, ...]]]:
    """(table, columns) of every index that reading the relation tree joins on."""
    nodes = (node for relation in RELATIONS for _, node in relation.walk())
    return frozenset(index for node in nodes for index in _joined_on(node))


def _joined_on(node: Node) -> Iterator[tuple[str, tuple[str, ...]]]:
    if node.through is not None:
        yield node.through.table, (node.through.to_parent,)
    elif not node.belongs_to:
        types = tuple(column for column, _ in node.where if column.endswith("_type"))
        yield node.table, (node.child_key, *types)


def _sequences(table: Table) -> Iterator[str]:
    names = [column.sequence for column in table.columns.values()] + [table.assigned]
    for name in filter(None, names):
        yield f"CREATE SEQUENCE IF NOT EXISTS {name}"


def _own_sequences(table: Table) -> Iterator[str]:
    """Tie each sequence to its column, so that ``pg_get_serial_sequence`` finds it."""
    for name, column in table.columns.items():
        sequence = column.sequence or (table.assigned if name == "id" else None)
        if sequence is not None:
            yield f"ALTER SEQUENCE {sequence} OWNED BY {table.name}.{quoted(name)}"


def _create(table: Table) -> str:
    lines = [_column_line(table, name) for name in table.columns]
    lines += [f"{KEPT_COLUMN} jsonb"] if table.name in KEPT_ATTRIBUTES else []
    lines.append(f"PRIMARY KEY ({_names(table.primary_key)})")
    by = f" PARTITION BY {table.partition[0]} ({quoted(table.partition[1])})" if table.partition else ""
    return f"CREATE TABLE IF NOT EXISTS {table.name} (\n  " + ",\n  ".join(lines) + f"\n){by}"


def _column_line(table: Table, name: str) -> str:
    column = table.columns[name]
    default = column.default
    if default is None and name == "id" and table.assigned is not None:
        default = f"nextval('{table.assigned}'::regclass)"
    required = " NOT NULL" if name in table.primary_key else ""
    return f"{quoted(name)} {column.type}{required}" + (f" DEFAULT {default}" if default else "")


def _missing_columns(table: Table) -> Iterator[str]:
    lines = [_column_line(table, name) for name in table.columns if name not in table.primary_key]
    lines += [f"{KEPT_COLUMN} jsonb"] if table.name in KEPT_ATTRIBUTES else []
    if lines and table.part_of is None:  # a partition follows its parent
        yield f"ALTER TABLE {table.name} " + ", ".join(f"ADD COLUMN IF NOT EXISTS {line}" for line in lines)


def _partitions(table: Table) -> Iterator[str]:
    if table.part_of is not None:
        yield _attach(table.name, *table.part_of)
    elif table.partition is not None:
        method = table.partition[0]
        if method == "hash":
            yield from _hash_partitions(table.name)
        elif not any(other.part_of and other.part_of[0] == table.name for other in tables().values()):
            # One partition for everything: GitLab adds list and range partitions as they fill up.
            yield (
                f"CREATE TABLE IF NOT EXISTS {DYNAMIC_SCHEMA}.{table.name}_all"
                f" PARTITION OF {table.name} DEFAULT"
            )


def _attach(name: str, parent: str, value: str) -> str:
    return f"""DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = '{name}'::regclass) THEN
    ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES IN ('{value}');
  END IF;
END $$"""


def _hash_partitions(name: str) -> Iterator[str]:
    for number in range(HASH_PARTITIONS):
        yield (
            f"CREATE TABLE IF NOT EXISTS {STATIC_SCHEMA}.{name}_{number:02d} PARTITION OF {name}"
            f" FOR VALUES WITH (MODULUS {HASH_PARTITIONS}, REMAINDER {number})"
        )


def _indexes(table: Table) -> Iterator[str]:
    joined = {columns for name, columns in index_columns() if name == table.name}
    for columns in table.uniques:
        yield _index(table, columns, "UNIQUE INDEX")
    for columns in sorted(joined | set(table.indexes)):
        # The primary key serves a join on its first column.
        if columns != table.primary_key[: len(columns)] and columns not in table.uniques:
            yield _index(table, columns, "INDEX")


def _index(table: Table, columns: tuple[str, ...], kind: str) -> str:
    # PostgreSQL cuts names at 63 bytes; IF NOT EXISTS would then take two indexes for one.
    name = f"ix_{table.name[:28]}_{'_'.join(columns)}"[:63]
    return f"CREATE {kind} IF NOT EXISTS {name} ON {table.name} ({_names(columns)})"


def _names(columns: Iterable[str]) -> str:
    return ", ".join(quoted(column) for column in columns)
