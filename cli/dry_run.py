"""``export --dry-run``: what an export would do, read from a snapshot that is let go at once.

What it will weigh and take is estimated by ``export_core.estimate``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from export_core.estimate import BASIS, estimate
from export_core.job import JobRequest
from export_core.quantities import human_bytes, human_count, human_seconds
from export_core.source import Part, Plan, Selection, Source
from export_core.worker_pool import usable_processors

Document = dict[str, Any]


def read_plan(source: Source, request: JobRequest) -> Plan:
    """The plan of an export, from the project as it is now. Raises what an export would raise."""
    with source.session():
        options = {**request.export_options, "allow_missing": request.allow_missing}
        snapshot = source.open(request.project, options)
        try:
            return snapshot.plan(Selection(request.only, request.skip))
        finally:
            snapshot.close()


def plan_document(request: JobRequest, plan: Plan) -> Document:
    """The plan as JSON: relations with parts, lines (null: not counted) and estimated bytes."""
    parts: dict[str, list[Part]] = {name: [] for name in plan.relations}
    for part in plan.parts:
        parts.setdefault(part.relation, []).append(part)
    relations = [_relation(name, of_it) for name, of_it in parts.items()]
    workers = request.workers or usable_processors()
    return {
        "project": request.project,
        "source": request.source,
        "strategy": {"name": request.strategy.name, "destination": request.strategy.destination},
        "relations": relations,
        "parts": len(plan.parts),
        "lines": sum(relation["lines"] or 0 for relation in relations),
        "bytes": sum(relation["bytes"] for relation in relations),
        "estimate": _estimate(plan.parts, workers),
        "warnings": list(plan.warnings),
    }


def _estimate(parts: Iterable[Part], workers: int) -> Document:
    found = estimate(parts, workers)
    return {
        "archive_bytes": found.archive_bytes,
        "seconds": found.seconds,
        "workers": workers,
        "basis": BASIS,
    }


def _relation(name: str, parts: list[Part]) -> Document:
    counted = [part.lines for part in parts if part.lines is not None]
    return {
        "name": name,
        "parts": len(parts),
        "lines": sum(counted) if counted or not parts else None,
        "bytes": sum(part.weight for part in parts),
    }


def plan_table(document: Mapping[str, Any]) -> Any:
    """The plan as a table for people."""
    from rich.console import Group
    from rich.text import Text

    title = f"{document['project']} from {document['source']}: nothing is exported"
    table = _table(title, ("relation", "parts", "lines", "bytes, about"))
    for relation in (*document["relations"], {**document, "name": "all"}):
        lines = "" if relation["lines"] is None else human_count(relation["lines"])
        table.add_row(relation["name"], str(relation["parts"]), lines, human_bytes(relation["bytes"]))
    found = document["estimate"]
    workers = "1 worker" if found["workers"] == 1 else f"{found['workers']} workers"
    said = f"archive: about {human_bytes(found['archive_bytes'])}, in about {human_seconds(found['seconds'])}"
    return Group(table, Text(f"{said} with {workers}"), Text(f"estimated from {found['basis']}"))


def plans_table(documents: Sequence[Mapping[str, Any]]) -> Any:
    """The plans of several projects, a row each."""
    from rich.text import Text

    headings = ("project", "parts", "lines", "archive, about", "time, about", "warnings")
    table = _table(f"{len(documents)} projects: nothing is exported", headings)
    for document in documents:
        found = document["estimate"]
        table.add_row(
            Text(document["project"]),
            str(document["parts"]),
            human_count(document["lines"]),
            human_bytes(found["archive_bytes"]),
            human_seconds(found["seconds"]),
            str(len(document["warnings"]) or ""),
        )
    return table


def _table(title: str, headings: Sequence[str]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), box=None)
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left")
    return table
