"""Runs the product on one project: relation by relation, with any number of workers and any cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from export_core.source import Part, Selection
from export_core.sources.gitlab_db.batches import as_text, ids_in
from export_core.sources.gitlab_db.planning import FILE_RELATIONS
from export_core.sources.gitlab_db.settings import GitlabSettings
from export_core.sources.gitlab_db.snapshot import GitlabSnapshot
from export_core.sources.gitlab_db.source import GitlabSource


@dataclass(slots=True)
class Collected:
    """A sink that keeps everything."""

    data: bytearray = field(default_factory=bytearray)
    said: int = 0
    warnings: list[str] = field(default_factory=list)

    def write(self, data: bytes) -> None:
        """Keep."""
        self.data += data

    def file(self, name: str, data: bytes) -> None:
        """No part of these tests has files."""
        raise AssertionError(name)

    def lines(self, count: int) -> None:
        """Count."""
        self.said += count

    def warn(self, message: str) -> None:
        """Keep."""
        self.warnings.append(message)

    def check_stop(self) -> None:
        """Nobody stops us."""


@dataclass(slots=True)
class Exported:
    """The relations of one run."""

    members: dict[str, bytes] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    planned: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def text(self, relation: str) -> bytes | None:
        """The bytes of a relation's file; None when there is none."""
        return self.members.get(relation)


@dataclass(frozen=True, slots=True)
class Way:
    """How parts are cut and read."""

    workers: int = 1
    rows: int | None = None
    """Rows a part at most; None as planned."""
    pruned: bool | None = None
    """True: parts of one partition each; False: never by partition; None as planned."""


def export(
    settings: GitlabSettings, path: str, way: Way = Way(), options: Mapping[str, Any] | None = None
) -> Exported:
    """All relations that are rows."""
    source = GitlabSource("test", settings)
    snapshot = source.open(path, options or {})
    try:
        return _export(source, snapshot, way)
    finally:
        snapshot.close()


def _export(source: GitlabSource, snapshot: GitlabSnapshot, way: Way) -> Exported:
    plan = snapshot.plan(Selection(skip=FILE_RELATIONS))
    parts = [piece for part in plan.parts for piece in _cut(part, way, snapshot)]
    found = Exported(warnings=list(plan.warnings), missing=snapshot.lacking)
    chunks = [parts[start :: way.workers] for start in range(way.workers)]
    with ThreadPoolExecutor(way.workers) as pool:
        runs = list(pool.map(lambda chunk: _read_all(source, snapshot.token, chunk), chunks))
    sinks = {
        place * way.workers + start: sink for start, run in enumerate(runs) for place, sink in enumerate(run)
    }
    for place, part in enumerate(parts):
        sink = sinks[place]
        found.members[part.relation] = found.members.get(part.relation, b"") + bytes(sink.data)
        found.lines[part.relation] = found.lines.get(part.relation, 0) + sink.said
        found.warnings += sink.warnings
    for part in plan.parts:
        found.planned[part.relation] = found.planned.get(part.relation, 0) + (part.lines or 0)
    return found


def _read_all(source: GitlabSource, token: str, parts: list[Part]) -> list[Collected]:
    reader = source.reader(token)
    sinks = []
    try:
        for part in parts:
            sinks.append(Collected())
            reader.read(part, sinks[-1])
    finally:
        reader.close()
    return sinks


def _cut(part: Part, way: Way, snapshot: GitlabSnapshot) -> Iterator[Part]:
    payload = dict(part.payload)
    if payload["kind"] != "rows":
        yield part
        return
    if way.pruned is False:
        payload.pop("partition", None)
    ids = ids_in(payload["ids"])
    if way.pruned and part.relation == "ci_pipelines":
        for id in ids:
            yield replace(part, payload={**payload, "ids": str(id), "partition": _partition(snapshot, id)})
        return
    size = way.rows or len(ids)
    for start in range(0, len(ids), size):
        yield replace(part, payload={**payload, "ids": as_text(ids[start : start + size])})


def _partition(snapshot: GitlabSnapshot, pipeline: int) -> int:
    import psycopg

    databases = snapshot.settings.databases
    with psycopg.connect(databases.dsn("ci")) as connection:
        rows = connection.execute(
            "SELECT partition_id FROM p_ci_pipelines WHERE id = %s", (pipeline,)
        ).fetchall()
    return int(rows[0][0])
