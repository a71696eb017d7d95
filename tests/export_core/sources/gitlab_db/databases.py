"""Throw-away databases of the embedded server, filled with a world's rows."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from export_core.gitlab import layout
from tests.export_core.sources.gitlab_db import real_schema
from tests.export_core.sources.gitlab_db.facts import Facts
from tests.export_core.sources.gitlab_db.surroundings import PATHS
from tests.export_core.sources.gitlab_db.world import Row, World

Dsn = Callable[[str], str]
BASE = "gitlab_real"
SPLIT = (f"{BASE}_main", f"{BASE}_ci", f"{BASE}_sec")


@dataclass(frozen=True, slots=True)
class Disk:
    """What lies beside the database."""

    repositories: Path
    external_diffs: Path
    branches: Mapping[tuple[int, str], str]
    heads: Mapping[int, str]


def build(dsn: Dsn, facts: Facts, world: World) -> None:
    """The database ``BASE`` with all rows, and ``main``, ``ci`` and ``sec`` with their own rows only."""
    with psycopg.connect(dsn("postgres"), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")  # nothing here outlives the tests
        connection.execute("SELECT pg_reload_conf()")
    _make(dsn, facts, BASE, world, list(facts.tables))
    homes = facts.databases()
    for name in ("main", "ci", "sec"):
        _make(
            dsn,
            facts,
            f"{BASE}_{name}",
            world,
            [table for table in facts.tables if homes.get(table, "main") == name],
        )


def _make(dsn: Dsn, facts: Facts, name: str, world: World, filled: list[str]) -> None:
    """As GitLab decomposes: the tables are everywhere, their rows only where they belong."""
    with psycopg.connect(dsn("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    with psycopg.connect(dsn(name)) as connection:
        real_schema.create(connection, facts, 64 if name == BASE else 4)
        for table in filled:
            json = {column.name for column in facts.tables[table] if column.type == "jsonb"}
            _insert(connection, table, world.rows[table], json)
        connection.execute("ANALYZE")


@contextmanager
def copied(dsn: Dsn, name: str, of: str = BASE) -> Iterator[str]:
    """The name of a copy that a test may change."""
    with psycopg.connect(dsn("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {of}")
        try:
            yield name
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _insert(connection: psycopg.Connection[Any], table: str, rows: list[Row], json: set[str]) -> None:
    if not rows:
        return
    names = ", ".join(f'"{name}"' for name in rows[0])
    marks = ", ".join(["%s"] * len(rows[0]))
    values = [
        [Jsonb(value) if name in json and value is not None else value for name, value in row.items()]
        for row in rows
    ]
    connection.cursor().executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", values)


def make_disk(directory: Path, world: World) -> Disk:
    """Repositories of the first and the third project, and the external diff files."""
    repositories, diffs = directory / "repositories", directory / "external-diffs"
    branches: dict[tuple[int, str], str] = {}
    for id, names in ((1, ("main", "feature", "bränch/ü")), (3, ("trunk", "feature"))):
        path = repositories / f"@hashed/{id}.git"
        branches |= {(id, name): sha for name, sha in _repository(path, id, names).items()}
    for (merge_request, diff), content in world.diff_files.items():
        place = diffs / layout.external_diff(merge_request, diff)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    assert len(PATHS) == 4
    return Disk(repositories, diffs, branches, {1: "main", 3: "trunk"})


def _repository(path: Path, id: int, branches: tuple[str, ...]) -> dict[str, str]:
    path.mkdir(parents=True)
    _git(path, "init", "--quiet", "--bare", "--initial-branch", branches[0])
    tree = _git(path, "hash-object", "-t", "tree", "-w", "--stdin")
    shas = {}
    for name in branches:
        shas[name] = _git(path, "commit-tree", tree, "-m", f"{name} of {id}")
        _git(path, "update-ref", f"refs/heads/{name}", shas[name])
    return shas


def _git(path: Path, *arguments: str) -> str:
    person = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    run = subprocess.run(
        ["git", "-C", str(path), *arguments],
        env={"PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": str(path), **person},
        input="", capture_output=True, text=True, check=True,
    )  # fmt: skip
    return run.stdout.strip()
