"""GitLab's tables as a real server has them: types, NOT NULL, defaults, keys and partitions by the facts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg

from tests.export_core.sources.gitlab_db.facts import Column, Facts

PARTITIONS = (100, 101, 102)
_BY_LIST = ("p_ci_builds", "p_ci_builds_metadata", "p_ci_pipelines", "p_ci_stages")
_INDEXED = re.compile(r"(_id|^id|_type|^type)$")


def create(connection: psycopg.Connection[Any], facts: Facts, hash_partitions: int = 64) -> None:
    """All named tables, empty."""
    connection.execute(";".join(_statements(facts, hash_partitions)))


def _statements(facts: Facts, hash_partitions: int) -> Iterator[str]:
    yield "CREATE SCHEMA gitlab_partitions_dynamic"
    yield "CREATE SCHEMA gitlab_partitions_static"
    sequences = {
        found[1]
        for columns in facts.tables.values()
        for column in columns
        if (found := re.match(r"nextval\('(\w+)'", column.default or ""))
    }
    yield from (f"CREATE SEQUENCE {name}" for name in sorted(sequences))
    for table, columns in facts.tables.items():
        if table in ("project_uploads", "uploads_9ba88c4165"):
            continue
        yield f"CREATE TABLE {table} ({', '.join(_lines(columns))}){_partitioned(table)}"
        yield from _partitions(table, hash_partitions)
    for node_table, column in sorted(_joins(facts)):
        yield f"CREATE INDEX ON {node_table} ({column})"


def _lines(columns: list[Column]) -> Iterator[str]:
    for column in columns:
        required = "" if column.nullable else " NOT NULL"
        default = f" DEFAULT {column.default}" if column.default else ""
        yield f'"{column.name}" {column.type}{required}{default}'
    key = [column for column in columns if column.key]
    if key:
        yield f"PRIMARY KEY ({', '.join(column.name for column in sorted(key, key=lambda c: c.key or 0))})"


def _partitioned(table: str) -> str:
    if table in _BY_LIST:
        return " PARTITION BY LIST (partition_id)"
    methods = {
        "work_item_descriptions": "HASH (namespace_id)",
        "merge_request_commits_metadata": "RANGE (project_id)",
    }
    return f" PARTITION BY {methods[table]}" if table in methods else ""


def _partitions(table: str, hash_partitions: int) -> Iterator[str]:
    if table in _BY_LIST:
        for value in PARTITIONS:
            name = f"gitlab_partitions_dynamic.{table.removeprefix('p_')}_{value}"
            yield f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES IN ({value})"
    elif table == "work_item_descriptions":
        for number in range(hash_partitions):
            name = f"gitlab_partitions_static.{table}_{number:02d}"
            values = f"WITH (MODULUS {hash_partitions}, REMAINDER {number})"
            yield f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES {values}"
    elif table == "merge_request_commits_metadata":
        for number, (low, high) in enumerate((("1", "2"), ("2", "4"), ("4", "MAXVALUE"))):
            name = f"gitlab_partitions_dynamic.{table}_{number}"
            yield f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES FROM ({low}) TO ({high})"


def _joins(facts: Facts) -> set[tuple[str, str]]:
    found = set()
    for _, node in facts.nodes():
        joins: list[Mapping[str, str]] = node["join"] if isinstance(node["join"], list) else []
        found |= {(join["child_table"], join["child_column"]) for join in joins}
    return {(table, column) for table, column in found if column != "id" and _INDEXED.search(column)}
