"""The exported project: made by ``packmule demo --scale``, described for those who read it otherwise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from export_core.gitlab.tree import RELATIONS
from export_core.source import Part, Selection
from export_core.sources.embedded.instance import EmbeddedInstance
from export_core.sources.embedded.source import EmbeddedSource
from export_core.sources.gitlab_db.batches import cut_of, ids_in, in_batches
from export_core.sources.gitlab_db.catalog import read_catalog
from export_core.sources.gitlab_db.connections import connect, session_options
from export_core.sources.gitlab_db.renderings import Renderer, Rules
from export_core.sources.gitlab_db.rules import exceptions
from export_core.sources.gitlab_db.sql import conditions, order_by, relation_query
from export_core.sources.gitlab_db.tables import TABLES
from export_core.workspace import Home

PACKMULE = (sys.executable, "-c", "from cli.main import main; main()")


@dataclass(frozen=True, slots=True)
class Relation:
    """One relation of many rows: how its ids and its lines are read. Parameters are ``$1`` and so on."""

    name: str
    ids_sql: str
    """$1: the project's id."""
    sql: str
    """$1: ids, $2: the project's id, $3: the partition; id and JSON text of each row, in any order."""
    batch: int
    partition: int | None
    ids: list[int]


@dataclass(frozen=True, slots=True)
class Project:
    """A project in the embedded instance's database."""

    path: str
    dsn: str
    id: int
    rows: int
    """Rows of the database that came with it."""
    relations: tuple[Relation, ...]
    options: str
    """The settings of a session, as PGOPTIONS takes them."""

    def save(self, path: Path) -> None:
        """As JSON, for the processes that read the project without packmule."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")


def make(home: Home, scale: int, say: Callable[[str], None]) -> Project:
    """Have packmule make a project, and describe it. Within the instance's session."""
    say(f"making a project with {scale:,} issues")
    instance = EmbeddedInstance(home)
    instance.analyze()
    before = rows_in(instance)
    words = [*PACKMULE, "demo", "--scale", str(scale), "--no-export"]
    environment = {**os.environ, "PACKMULE_HOME": str(home.root)}
    done = subprocess.run(words, env=environment, check=True, capture_output=True)
    return _described(instance, done.stdout.decode().strip(), rows_in(instance) - before)


def _described(instance: EmbeddedInstance, path: str, rows: int) -> Project:
    source = EmbeddedSource("embedded", instance)
    snapshot = source.open(path, {})
    try:
        plan = snapshot.plan(Selection())
        project_id = snapshot.project.id
    finally:
        snapshot.close()
    with connect(instance.server.dsn()) as connection:
        renderer = Renderer(read_catalog(connection, TABLES), Rules(stored=True), exceptions(stored=True))
    relations = tuple(
        _relations(renderer, [part for part in plan.parts if part.payload.get("kind") == "rows"])
    )
    return Project(path, instance.server.dsn(), project_id, rows, relations, session_options())


def _relations(renderer: Renderer, parts: list[Part]) -> Iterator[Relation]:
    for node in RELATIONS:
        mine = [part for part in parts if part.relation == node.name]
        if not mine or not node.many:
            continue
        ids = [id for part in mine for id in ids_in(part.payload["ids"])]
        partitions = {part.payload.get("partition") for part in mine}
        partition = partitions.pop() if len(partitions) == 1 else None
        made = relation_query(
            renderer, node, pruned=partition is not None, databases=frozenset(("main", "ci", "sec"))
        )
        where = " AND ".join([f"t.{node.child_key} = $1", *conditions(renderer, node, "t")])
        order = order_by(renderer, node, "t")
        ids_sql = f"SELECT t.id FROM {node.table} t WHERE {where} ORDER BY {order}"
        yield Relation(node.name, ids_sql, _numbered(made.sql), cut_of(node.name).batch, partition, ids)


def _numbered(sql: str) -> str:
    """With PostgreSQL's own parameters in place of psycopg's."""
    for name, number in (("%(ids)s", "$1"), ("%(project)s", "$2"), ("%(partition)s", "$3")):
        sql = sql.replace(name, number)
    return sql.replace("%%", "%")


def batches(relation: Relation) -> Iterator[list[int]]:
    """The ids of each statement, as packmule cuts them."""
    return in_batches(relation.ids, relation.batch)


def rows_in(instance: EmbeddedInstance) -> int:
    """Rows of all tables but PostgreSQL's own, as the last VACUUM counted them."""
    with instance.connect() as connection:
        (total,) = connection.execute(
            "SELECT sum(c.reltuples)::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind = 'r' AND c.reltuples > 0"
            " AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
        ).fetchall()[0]
    return int(total or 0)
