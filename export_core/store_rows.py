"""Rows of the job store <-> the values of ``export_core.job`` and ``export_core.source``. Pure."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import PurePath
from typing import Any

from export_core.job import (
    ArchiveInfo,
    ErrorInfo,
    Job,
    JobRequest,
    JobStatus,
    Owner,
    PartStatus,
    Phase,
    RelationState,
    SnapshotInfo,
    StrategyChoice,
)
from export_core.source import Part


def to_json(value: Any) -> str:
    """Compact JSON; any mapping is an object, any sequence of ours an array, a path its text."""
    return json.dumps(value, default=_plain, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"a {type(value).__name__} cannot be kept in the job store")


def request_to_json(request: JobRequest) -> str:
    """A request with all its options, secrets included: it stays inside the store."""
    values = {field.name: getattr(request, field.name) for field in dataclasses.fields(request)}
    choice = request.strategy
    values["strategy"] = {"name": choice.name, "destination": choice.destination, "options": choice.options}
    return to_json(values)


def request_from_json(text: str) -> JobRequest:
    """The reverse. Options that this version does not know are passed over, missing ones get defaults."""
    known = {field.name for field in dataclasses.fields(JobRequest)}
    values = {name: value for name, value in json.loads(text).items() if name in known}
    values["strategy"] = StrategyChoice(**values["strategy"])
    for name in ("only", "skip", "notify"):
        values[name] = tuple(values.get(name, ()))
    return JobRequest(**values)


def job_from_row(row: sqlite3.Row, status: JobStatus, **children: Any) -> Job:
    """A job with ``status`` as it is shown, and its relations, snapshots and warnings as ``children``."""
    return Job(
        id=row["id"],
        request=request_from_json(row["request"]),
        status=status,
        phase=None if row["phase"] is None else Phase(row["phase"]),
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        heartbeat_at=row["heartbeat_at"],
        owner=owner_from_row(row),
        attempts=row["attempts"],
        archive=_archive_from_row(row),
        error=_error_from_row(row),
        fingerprint=row["fingerprint"],
        reused_from=row["reused_from"],
        delivery=json.loads(row["delivery"]),
        in_store=bool(row["archive_in_store"]),
        archive_removed_at=row["archive_removed_at"],
        failures=row["failures"],
        retry_at=row["retry_at"],
        **children,
    )


def owner_from_row(row: sqlite3.Row) -> Owner | None:
    """Who owns a job, if anybody."""
    if row["owner_host"] is None:
        return None
    return Owner(row["owner_host"], row["owner_pid"], row["owner_started"])


def _archive_from_row(row: sqlite3.Row) -> ArchiveInfo | None:
    if row["archive_sha256"] is None or row["archive_removed_at"] is not None:
        return None
    return ArchiveInfo(row["archive_path"], row["archive_size"], row["archive_sha256"])


def _error_from_row(row: sqlite3.Row) -> ErrorInfo | None:
    if row["error_kind"] is None:
        return None
    return ErrorInfo(row["error_kind"], row["error_message"], row["error_hint"])


def archive_values(archive: ArchiveInfo | None, *, in_store: bool = False) -> dict[str, Any]:
    """The columns of a finished archive, or of none."""
    return {
        "archive_path": archive.path if archive else None,
        "archive_size": archive.size if archive else None,
        "archive_sha256": archive.sha256 if archive else None,
        "archive_in_store": int(in_store),
        "archive_removed_at": None,
    }


def error_values(error: ErrorInfo | None) -> dict[str, Any]:
    """The columns of an error, or of none."""
    return {
        "error_kind": error.kind if error else None,
        "error_message": error.message if error else None,
        "error_hint": error.hint if error else None,
    }


def snapshot_from_row(row: sqlite3.Row) -> SnapshotInfo:
    """A snapshot that parts of a job were read from."""
    return SnapshotInfo(row["number"], row["token"], row["taken_at"], json.loads(row["details"]))


def part_from_row(row: sqlite3.Row) -> Part:
    """A part as it was planned."""
    return Part(
        relation=row["relation"],
        number=row["number"],
        member=row["member"],
        payload=json.loads(row["payload"]),
        weight=row["weight"],
        lines=row["expected_lines"],
        deferred=bool(row["deferred"]),
    )


def relations_from_rows(names: Iterable[str], rows: Iterable[sqlite3.Row]) -> tuple[RelationState, ...]:
    """Every relation of a plan, summed over its parts (``rows``: one a relation, see ``PART_SUMS``)."""
    sums = {row["relation"]: row for row in rows}
    ordered = [*names, *(name for name in sums if name not in set(names))]
    return tuple(_relation(name, sums.get(name)) for name in ordered)


def _relation(name: str, row: sqlite3.Row | None) -> RelationState:
    if row is None:  # nothing to export: done as soon as it is planned
        return RelationState(name, PartStatus.FINISHED, 0, 0, 0, 0, 0.0)
    numbers = sorted(int(number) for number in (row["snapshots"] or "").split(",") if number)
    return RelationState(
        name=name,
        status=_relation_status(row),
        lines=row["lines"],
        bytes=row["bytes"],
        parts=row["parts"],
        parts_finished=row["finished"],
        seconds=_wall_seconds(row["first_start"], row["last_finish"]),
        started_at=row["first_start"],
        finished_at=row["last_finish"] if row["finished"] == row["parts"] else None,
        snapshots=tuple(numbers),
    )


def _relation_status(row: sqlite3.Row) -> PartStatus:
    if row["failed"]:
        return PartStatus.FAILED
    if row["finished"] == row["parts"]:
        return PartStatus.FINISHED
    return PartStatus.STARTED if row["started"] or row["finished"] else PartStatus.QUEUED


def _wall_seconds(start: str | None, finish: str | None) -> float:
    if start is None or finish is None:
        return 0.0
    return round((datetime.fromisoformat(finish) - datetime.fromisoformat(start)).total_seconds(), 3)
