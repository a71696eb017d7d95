"""``export --dry-run``: what an export would do, read from a snapshot that is let go at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cli.quantities import human_bytes, human_count
from export_core.job import JobRequest
from export_core.source import Part, Plan, Selection, Source

Document = dict[str, Any]


def read_plan(source: Source, request: JobRequest) -> Plan:
    """The plan of an export, from the project as it is now. Raises what an export would raise."""
    with source.session():
        snapshot = source.open(request.project, request.export_options)
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
    return {
        "project": request.project,
        "source": request.source,
        "strategy": {"name": request.strategy.name, "destination": request.strategy.destination},
        "relations": relations,
        "parts": len(plan.parts),
        "lines": sum(relation["lines"] or 0 for relation in relations),
        "bytes": sum(relation["bytes"] for relation in relations),
        "warnings": list(plan.warnings),
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
    from rich.table import Table

    table = Table(title=f"{document['project']} from {document['source']}: nothing is exported", box=None)
    for heading in ("relation", "parts", "lines", "bytes, about"):
        table.add_column(heading, justify="left" if heading == "relation" else "right")
    for relation in (*document["relations"], {**document, "name": "all"}):
        lines = "" if relation["lines"] is None else human_count(relation["lines"])
        table.add_row(relation["name"], str(relation["parts"]), lines, human_bytes(relation["bytes"]))
    return table
