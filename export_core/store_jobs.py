"""SQL of jobs: their states, owners and results. Every function works inside a transaction.

A state is only ever changed by ``UPDATE ... WHERE id = ? AND status IN (...)``, so that of any number of
processes exactly one succeeds; the others get JobConflict with what stands in the way.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from export_core.errors import JobConflict, NotFound
from export_core.job import Job, JobRequest, JobStatus, Owner, sources_of
from export_core.ownership import is_gone
from export_core.store_parts import PART_SUMS
from export_core.store_rows import (
    job_from_row,
    owner_from_row,
    relations_from_rows,
    request_to_json,
    snapshot_from_row,
)
from export_core.timestamps import to_text, to_time

NO_OWNER: Mapping[str, Any] = {
    "owner_host": None,
    "owner_pid": None,
    "owner_started": None,
    "pending_request": None,
}
"""What every end of a run writes."""

_IN_ONE_STATEMENT = 500
"""Job ids in one IN list; SQLite allows 32766 values, older builds 999."""


def create(db: sqlite3.Connection, request: JobRequest, now: str) -> int:
    """Insert a queued job; its id."""
    done = db.execute(
        "INSERT INTO jobs (project, source, strategy, request, status, created_at) VALUES (?, ?, ?, ?, ?, ?)",
        (request.project, request.source, request.strategy.name, request_to_json(request), "queued", now),
    )
    return int(done.lastrowid or 0)


def row_of(db: sqlite3.Connection, job_id: int) -> sqlite3.Row:
    """A job's row. Raises NotFound."""
    row: sqlite3.Row | None = db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if row is None:
        raise NotFound(f"there is no job {job_id}", hint="packmule list shows all jobs.")
    return row


def shown_status(row: sqlite3.Row, now: datetime) -> JobStatus:
    """The stored state, or ``interrupted`` for a started job whose owner is gone."""
    status = JobStatus(row["status"])
    if status is JobStatus.STARTED and is_gone(owner_from_row(row), to_time(row["heartbeat_at"]), now):
        return JobStatus.INTERRUPTED
    return status


def load(
    db: sqlite3.Connection, rows: Sequence[sqlite3.Row], now: datetime, *, whole: bool = True
) -> list[Job]:
    """Jobs for rows of the table ``jobs``, in the same order; not ``whole``: of that table alone."""
    if not whole:
        return [job_from_row(row, shown_status(row, now)) for row in rows]
    jobs: list[Job] = []
    for first in range(0, len(rows), _IN_ONE_STATEMENT):
        jobs.extend(_load_some(db, rows[first : first + _IN_ONE_STATEMENT], now))
    return jobs


def _load_some(db: sqlite3.Connection, rows: Sequence[sqlite3.Row], now: datetime) -> list[Job]:
    ids = [row["id"] for row in rows]
    marks = ",".join("?" * len(ids))
    sums = _by_job(db.execute(PART_SUMS.format(jobs=marks), ids))
    snapshots = _by_job(
        db.execute(f"SELECT * FROM snapshots WHERE job_id IN ({marks}) ORDER BY job_id, number", ids)
    )
    warnings = _by_job(db.execute(f"SELECT * FROM warnings WHERE job_id IN ({marks}) ORDER BY id", ids))
    planned = _relation_names(db, ids, marks)
    return [
        job_from_row(
            row,
            shown_status(row, now),
            relations=relations_from_rows(planned.get(row["id"], ()), sums.get(row["id"], ())),
            snapshots=tuple(snapshot_from_row(found) for found in snapshots.get(row["id"], ())),
            warnings=tuple(found["text"] for found in warnings.get(row["id"], ())),
        )
        for row in rows
    ]


def _relation_names(db: sqlite3.Connection, ids: Sequence[int], marks: str) -> dict[int, list[str]]:
    found = db.execute(
        "SELECT jobs.id AS job_id, names.value AS name"
        " FROM jobs, json_each(jobs.plan, '$.relations') AS names"
        f" WHERE jobs.id IN ({marks}) AND jobs.plan IS NOT NULL ORDER BY jobs.id, names.id",
        ids,
    )
    return {job_id: [row["name"] for row in rows] for job_id, rows in _by_job(found).items()}


def _by_job(rows: sqlite3.Cursor) -> dict[int, list[sqlite3.Row]]:
    grouped: dict[int, list[sqlite3.Row]] = {}
    for row in rows:
        grouped.setdefault(row["job_id"], []).append(row)
    return grouped


def select(db: sqlite3.Connection, filters: Mapping[str, Any]) -> list[sqlite3.Row]:
    """Rows of jobs that equal every filter which is not None, newest first."""
    wanted = {name: value for name, value in filters.items() if value is not None}
    where = " AND ".join(f"{name} = :{name}" for name in wanted) or "1"
    return db.execute(f"SELECT * FROM jobs WHERE {where} ORDER BY id DESC", wanted).fetchall()


def change(
    db: sqlite3.Connection,
    job_id: int,
    allowed: Collection[JobStatus],
    values: Mapping[str, Any],
    *,
    owner: Owner | None = None,
) -> bool:
    """Update a job if it is in an allowed state (and owned by ``owner``, if given); whether it was."""
    columns = ", ".join(f"{name} = :{name}" for name in values)
    states = ", ".join(f"'{status}'" for status in allowed)
    mine = " AND owner_host = :host AND owner_pid = :pid AND owner_started = :began" if owner else ""
    who = {"host": owner.host, "pid": owner.pid, "began": owner.process_started} if owner else {}
    done = db.execute(
        f"UPDATE jobs SET {columns} WHERE id = :id AND status IN ({states}){mine}",
        {"id": job_id, **values, **who},
    )
    return done.rowcount == 1


def change_own(db: sqlite3.Connection, job_id: int, owner: Owner, values: Mapping[str, Any]) -> None:
    """Update a started job of ``owner``; JobConflict when it is not, or no longer."""
    if not change(db, job_id, (JobStatus.STARTED,), values, owner=owner):
        raise JobConflict(f"job {job_id} is no longer run by this process: {_standing(row_of(db, job_id))}")


def claim(db: sqlite3.Connection, job_id: int, owner: Owner, now: datetime, *, restart: bool) -> None:
    """Make ``owner`` the one process that runs the job."""
    row = row_of(db, job_id)
    status = shown_status(row, now)
    if status is JobStatus.STARTED:
        raise living(row)
    allowed = set(sources_of(JobStatus.STARTED)) - (set() if restart else {JobStatus.CANCELLED})
    values = {
        "status": JobStatus.STARTED,
        "started_at": row["started_at"] or to_text(now),
        "finished_at": None,
        "heartbeat_at": to_text(now),
        "owner_host": owner.host,
        "owner_pid": owner.pid,
        "owner_started": owner.process_started,
        "pending_request": None,
        "attempts": row["attempts"] + 1,
        "retry_at": None,
        "error_kind": None,
        "error_message": None,
        "error_hint": None,
    }
    if not change(db, job_id, allowed, values):
        raise _cannot(row, "started")


def cancel(db: sqlite3.Connection, job_id: int, now: datetime) -> None:
    """Cancel a job that nobody runs."""
    row = row_of(db, job_id)
    if shown_status(row, now) is JobStatus.STARTED:
        raise living(row)
    values = {"status": JobStatus.CANCELLED, "finished_at": to_text(now), "retry_at": None, **NO_OWNER}
    if not change(db, job_id, sources_of(JobStatus.CANCELLED), values):
        raise _cannot(row, "cancelled")


def requeue(db: sqlite3.Connection, job_id: int, owner: Owner | None, now: datetime) -> None:
    """Queue a job that nobody runs, or that ``owner`` runs and gives up."""
    row = row_of(db, job_id)
    if shown_status(row, now) is JobStatus.STARTED and owner_from_row(row) != owner:
        raise living(row)
    values = {"status": JobStatus.QUEUED, "finished_at": None, "retry_at": None, **NO_OWNER}
    if not change(db, job_id, sources_of(JobStatus.QUEUED), values):
        raise _cannot(row, "queued")


def expect_dormant(db: sqlite3.Connection, job_id: int, now: datetime) -> sqlite3.Row:
    """The row of a job that is neither run nor waiting for its turn; JobConflict for any other."""
    row = row_of(db, job_id)
    status = shown_status(row, now)
    if status is JobStatus.STARTED:
        raise living(row)
    if status is JobStatus.QUEUED:
        raise JobConflict(f"job {job_id} is queued", hint=f"packmule cancel {job_id} comes first.")
    return row


def delete(db: sqlite3.Connection, job_id: int, now: datetime) -> None:
    """Forget a job that nobody runs or waits for, with all its parts."""
    expect_dormant(db, job_id, now)
    db.execute("DELETE FROM jobs WHERE id = ?", (job_id,))


def archive_users(db: sqlite3.Connection, path: str) -> set[int]:
    """The finished jobs whose archive lies at ``path`` in packmule's store."""
    rows = db.execute(
        "SELECT id FROM jobs WHERE archive_path = ? AND archive_in_store AND archive_removed_at IS NULL"
        " AND status = 'finished'",
        (path,),
    )
    return {row["id"] for row in rows}


def living(row: sqlite3.Row) -> JobConflict:
    """The refusal to touch a job that a living process owns."""
    owner = owner_from_row(row)
    who = f"process {owner.pid} on {owner.host}" if owner else "another process"
    return JobConflict(
        f"job {row['id']} is being run by {who}",
        hint=f"packmule show {row['id']} tells how far it is, packmule cancel {row['id']} stops it.",
    )


def _cannot(row: sqlite3.Row, wanted: str) -> JobConflict:
    hint = None
    if row["status"] == JobStatus.CANCELLED and wanted == JobStatus.STARTED:
        hint = f"packmule resume {row['id']} --restart starts it anew."
    return JobConflict(f"{_standing(row)} and cannot become {wanted}", hint=hint)


def _standing(row: sqlite3.Row) -> str:
    return f"job {row['id']} is {row['status']}"
