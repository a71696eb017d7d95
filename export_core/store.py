"""The job store: every job, its parts and its results, in one SQLite file that many processes share.

It keeps a finished part only after the caller made its segment durable, and answers every race between
processes with a guarded update: one wins, the others get JobConflict. All methods are safe to call from
several threads. Every method raises StoreUnusable when the file cannot be used, and NotFound for an
unknown job.

Here is what can be asked; the SQL is in ``store_jobs`` and ``store_parts``, the file in ``store_database``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from export_core import store_jobs, store_parts
from export_core.errors import JobConflict
from export_core.job import (
    ArchiveInfo,
    ErrorInfo,
    Job,
    JobRequest,
    JobStatus,
    Owner,
    PartStatus,
    Phase,
    SnapshotInfo,
)
from export_core.source import Part, PartKey, Plan
from export_core.store_database import Database
from export_core.store_rows import archive_values, error_values, to_json
from export_core.timestamps import to_text, utc_now

Clock = Callable[[], datetime]
Jobs = list[Job]


class JobStore:
    """The jobs under one ``PACKMULE_HOME``. ``clock`` gives the time that is written and compared with."""

    def __init__(self, path: Path, *, clock: Clock = utc_now) -> None:
        self._database = Database(path)
        self._clock = clock

    def close(self) -> None:
        """Let the file go; the next call opens it again."""
        self._database.close()

    # Jobs

    def create(self, request: JobRequest) -> Job:
        """Store a new job, queued."""
        now = to_text(self._clock())
        return self.get(self._database.write(lambda db: store_jobs.create(db, request, now)))

    def get(self, job_id: int) -> Job:
        """One job. Raises NotFound."""
        return self._load(lambda db: [store_jobs.row_of(db, job_id)])[0]

    def list(
        self,
        *,
        status: JobStatus | None = None,
        project: str | None = None,
        source: str | None = None,
        whole: bool = True,
    ) -> Jobs:
        """All jobs, newest first, or those that match what is given.

        Not ``whole``: without relations, snapshots and warnings, which are most of the work.
        """
        stored = JobStatus.STARTED if status is JobStatus.INTERRUPTED else status
        filters = {"status": stored, "project": project, "source": source}
        jobs = self._load(lambda db: store_jobs.select(db, filters), whole=whole)
        return [job for job in jobs if status in (None, job.status)]

    def find_reusable(self, job: Job, fingerprint: str) -> Jobs:
        """Other finished jobs of the same project, source, strategy and content, newest first."""
        filters = {
            "project": job.project,
            "source": job.request.source,
            "strategy": job.request.strategy.name,
            "status": JobStatus.FINISHED,
            "fingerprint": fingerprint,
        }
        found = self._load(lambda db: store_jobs.select(db, filters))
        return [other for other in found if other.id != job.id and other.archive_removed_at is None]

    # Cleaning up

    def use_reserve(self) -> None:
        """On a full disk this process takes the room that is kept for it: it is going to free more."""
        self._database.may_use_reserve = True

    def delete(self, job_id: int) -> None:
        """Forget a job altogether. Raises JobConflict for one that is queued or being run."""
        self._write(lambda db: store_jobs.delete(db, job_id, self._clock()))

    def retire(self, job_id: int, error: ErrorInfo, take_away: Callable[[], object]) -> None:
        """Give up what an ended or interrupted job has done: an interrupted one has failed with ``error``.

        ``take_away`` moves its work directory out of the way while no process can claim the job; its
        delivery checkpoint stays. Raises JobConflict for a job that is queued or being run.
        """

        def give_up(db: sqlite3.Connection) -> None:
            row = store_jobs.expect_dormant(db, job_id, self._clock())
            last_seen = dict.fromkeys(("finished_at", "heartbeat_at"), row["heartbeat_at"])
            values = {**self._ended(JobStatus.FAILED), **last_seen, **error_values(error)}
            store_jobs.change(db, job_id, (JobStatus.STARTED,), values)
            if row["status"] != JobStatus.FINISHED:
                store_parts.forget(db, job_id, keep_delivery=True)
            take_away()

        self._write(give_up)

    def crash(self, job_id: int, error: ErrorInfo) -> None:
        """End an interrupted job whose process died of the job itself; it keeps its finished parts."""

        def end(db: sqlite3.Connection) -> None:
            store_jobs.expect_dormant(db, job_id, self._clock())
            values = {**self._ended(JobStatus.FAILED), **error_values(error)}
            if store_jobs.change(db, job_id, (JobStatus.STARTED,), values):
                db.execute("UPDATE jobs SET failures = failures + 1 WHERE id = ?", (job_id,))

        self._write(end)

    def remove_archive(self, path: str, job_ids: Iterable[int], unlink: Callable[[], object]) -> None:
        """Remove an archive of packmule's own store that only the given jobs refer to.

        Raises JobConflict when another job does; what ``unlink`` raises leaves the store as it was.
        """
        now, known = to_text(self._clock()), set(job_ids)

        def remove(db: sqlite3.Connection) -> None:
            others = store_jobs.archive_users(db, path) - known
            if others:
                raise JobConflict(f"{path} is still used by job {min(others)}")
            db.execute("UPDATE jobs SET archive_removed_at = ? WHERE archive_path = ?", (now, path))
            unlink()

        self._write(remove)

    def unfinished_deliveries(self) -> frozenset[int]:
        """Jobs with a delivery checkpoint."""
        rows = self._database.read(
            lambda db: db.execute("SELECT job_id FROM checkpoints WHERE name = 'delivery'").fetchall()
        )
        return frozenset(row["job_id"] for row in rows)

    # Running a job

    def claim(self, job_id: int, owner: Owner, *, restart: bool = False) -> Job:
        """Become the one process that runs a job that is queued, failed or interrupted.

        ``restart`` also takes a cancelled one. Raises JobConflict, naming the owner, when a living
        process runs it, and when it is finished.
        """
        self._write(lambda db: store_jobs.claim(db, job_id, owner, self._clock(), restart=restart))
        return self.get(job_id)

    def heartbeat(self, job_id: int, owner: Owner) -> str | None:
        """Say that the job is alive; what was asked of it: ``cancel``, ``restart`` or None.

        Raises JobConflict when the job is no longer ours: then the run must stop at once.
        """

        def beat(db: sqlite3.Connection) -> str | None:
            store_jobs.change_own(db, job_id, owner, {"heartbeat_at": to_text(self._clock())})
            asked: str | None = store_jobs.row_of(db, job_id)["pending_request"]
            return asked

        return self._database.write(beat, durable=False)

    def release(self, job_id: int, owner: Owner) -> None:
        """Give up a job that was not brought to an end: interrupted from now on, and resumable."""
        values = {**store_jobs.NO_OWNER, "heartbeat_at": to_text(self._clock())}
        self._write(lambda db: store_jobs.change_own(db, job_id, owner, values))

    def set_phase(self, job_id: int, phase: Phase) -> None:
        """Say what a started job is doing."""
        self._write(lambda db: self._expect_started(db, job_id, {"phase": phase}))

    def requeue(self, job_id: int, owner: Owner | None = None) -> None:
        """Queue a job again that nobody runs, or that ``owner`` runs and gives up."""
        self._write(lambda db: store_jobs.requeue(db, job_id, owner, self._clock()))

    def finish(
        self,
        job_id: int,
        owner: Owner,
        archive: ArchiveInfo | None,
        delivery: Mapping[str, Any],
        *,
        in_store: bool,
        reused_from: int | None = None,
    ) -> None:
        """End a job that was delivered.

        Raises JobConflict when the archive of the job it was ``reused_from`` has been removed meanwhile.
        """
        values = {
            **self._ended(JobStatus.FINISHED),
            **archive_values(archive, in_store=in_store),
            "delivery": to_json(delivery),
            "reused_from": reused_from,
            "phase": None,
        }

        def end(db: sqlite3.Connection) -> None:
            reused = archive is not None and archive.path and in_store and reused_from is not None
            if reused and archive and not store_jobs.archive_users(db, archive.path or ""):
                raise JobConflict(f"the archive of job {reused_from} was removed meanwhile")
            store_jobs.change_own(db, job_id, owner, values)
            store_parts.forget_work(db, job_id)

        self._write(end)

    def fail(self, job_id: int, owner: Owner, error: ErrorInfo) -> None:
        """End a job with an error; it keeps its finished parts and can be resumed."""
        values = {**self._ended(JobStatus.FAILED), **error_values(error)}

        def end(db: sqlite3.Connection) -> None:
            if not store_jobs.change(db, job_id, (JobStatus.QUEUED,), values):
                store_jobs.change_own(db, job_id, owner, values)
            db.execute("UPDATE jobs SET failures = failures + 1 WHERE id = ?", (job_id,))

        self._write(end)

    def cancelled(self, job_id: int, owner: Owner) -> None:
        """End a job that this process ran, because somebody cancelled it."""
        values = self._ended(JobStatus.CANCELLED)
        self._write(lambda db: store_jobs.change_own(db, job_id, owner, values))

    def cancel(self, job_id: int) -> None:
        """Cancel a queued, failed or interrupted job. Raises JobConflict for one that is being run."""
        self._write(lambda db: store_jobs.cancel(db, job_id, self._clock()))

    def request(self, job_id: int, request: str) -> None:
        """Ask the process that runs a job to ``cancel`` or ``restart`` it; its next heartbeat tells it."""

        def ask(db: sqlite3.Connection) -> None:
            row = store_jobs.row_of(db, job_id)
            if store_jobs.shown_status(row, self._clock()) is not JobStatus.STARTED:
                raise JobConflict(f"nobody runs job {job_id}: it is {row['status']}")
            db.execute("UPDATE jobs SET pending_request = ? WHERE id = ?", (request, job_id))

        self._write(ask)

    def reset(self, job_id: int) -> None:
        """Forget all that earlier runs of an unfinished job did: for a restart. A pending request stays."""
        now = to_text(self._clock())
        nothing = dict.fromkeys(("phase", "reused_from", "retry_at"))
        values = {**nothing, **error_values(None), **archive_values(None), "failures": 0, "delivery": "{}"}
        unfinished = [status for status in JobStatus if status is not JobStatus.FINISHED]

        def forget(db: sqlite3.Connection) -> None:
            row = store_jobs.row_of(db, job_id)
            started = {"started_at": None if row["started_at"] is None else now}
            if not store_jobs.change(db, job_id, unfinished, {**values, **started}):
                raise JobConflict(f"job {job_id} is finished and cannot start over")
            store_parts.forget(db, job_id, keep_delivery=False)

        self._write(forget)

    def forget_plan(self, job_id: int) -> None:
        """Forget what earlier runs of a started job planned and read, but not how often it failed."""

        def forget(db: sqlite3.Connection) -> None:
            self._expect_started(db, job_id, {"phase": None})
            store_parts.forget(db, job_id, keep_delivery=True)

        self._write(forget)

    def schedule_retry(self, job_id: int, at: datetime) -> None:
        """Have ``packmule work`` try a failed job again, not before ``at``."""
        self._write(lambda db: store_jobs.change(db, job_id, (JobStatus.FAILED,), {"retry_at": to_text(at)}))

    # Parts

    def save_plan(self, job_id: int, plan: Plan, snapshot: SnapshotInfo) -> None:
        """Store the plan of a started job with its first snapshot; every part is queued."""

        def save(db: sqlite3.Connection) -> None:
            store_jobs.row_of(db, job_id)
            store_parts.save_plan(db, job_id, plan)
            store_parts.add_snapshot(db, job_id, snapshot)

        self._write(save)

    def load_plan(self, job_id: int) -> Plan | None:
        """The stored plan; None before it was made."""
        return self._database.read(lambda db: store_parts.load_plan(db, job_id))

    def add_snapshot(self, job_id: int, snapshot: SnapshotInfo) -> None:
        """Store a snapshot that further parts are read from."""
        self._write(lambda db: store_parts.add_snapshot(db, job_id, snapshot))

    def start_part(self, job_id: int, relation: str, number: int, snapshot_number: int) -> None:
        """Mark a queued part as started. Raises JobConflict when it is not queued."""
        values = {"snapshot_number": snapshot_number, "started_at": to_text(self._clock())}
        self._move_part(job_id, (relation, number), PartStatus.STARTED, values)

    def finish_part(
        self,
        job_id: int,
        relation: str,
        number: int,
        result: Mapping[str, Any],
        *,
        snapshot_number: int,
        seconds: float,
        lines: int,
        bytes: int,
    ) -> None:
        """Mark a started part as finished. ``result`` describes its segment, which is durable already."""
        values = {
            "result": to_json(result),
            "snapshot_number": snapshot_number,
            "seconds": seconds,
            "lines": lines,
            "bytes": bytes,
            "finished_at": to_text(self._clock()),
        }
        self._move_part(job_id, (relation, number), PartStatus.FINISHED, values)

    def fail_part(self, job_id: int, relation: str, number: int, message: str) -> None:
        """Mark a started part as failed."""
        self._move_part(job_id, (relation, number), PartStatus.FAILED, {"error": message})

    def requeue_parts(self, job_id: int, keys: Iterable[PartKey] | None = None) -> int:
        """Put back started and failed parts, or the named ones (damaged segments); how many."""
        named = None if keys is None else tuple(keys)
        return self._database.write(lambda db: store_parts.requeue_parts(db, job_id, named))

    def update_part(self, job_id: int, part: Part) -> None:
        """Store what a new snapshot expects of a part."""
        self._write(lambda db: store_parts.update_part(db, job_id, part))

    def finished_parts(self, job_id: int) -> dict[PartKey, dict[str, Any]]:
        """The results of finished parts, in the order of the plan."""
        return self._database.read(lambda db: store_parts.finished_parts(db, job_id))

    # What belongs to a job besides

    def load_checkpoint(self, job_id: int, name: str) -> dict[str, Any]:
        """The last value of a checkpoint (``archive``, ``delivery``); empty before the first."""
        return self._database.read(lambda db: store_parts.load_checkpoint(db, job_id, name))

    def save_checkpoint(self, job_id: int, name: str, value: Mapping[str, Any]) -> None:
        """Replace a checkpoint durably; an empty value removes it."""
        self._write(lambda db: store_parts.save_checkpoint(db, job_id, name, value))

    def add_warning(self, job_id: int, text: str) -> None:
        """Store something the user must know; the same text is kept once."""
        self._write(lambda db: store_parts.add_warning(db, job_id, text))

    def set_fingerprint(self, job_id: int, fingerprint: str) -> None:
        """Store the digest over the content of a started job."""
        self._write(lambda db: self._expect_started(db, job_id, {"fingerprint": fingerprint}))

    # Inside

    def _load(
        self, rows: Callable[[sqlite3.Connection], Sequence[sqlite3.Row]], *, whole: bool = True
    ) -> Jobs:
        return self._database.read(lambda db: store_jobs.load(db, rows(db), self._clock(), whole=whole))

    def _write(self, action: Callable[[sqlite3.Connection], object]) -> None:
        self._database.write(action)

    def _move_part(self, job_id: int, key: PartKey, target: PartStatus, values: Mapping[str, Any]) -> None:
        # Not durable: after a power cut a part whose mark is lost is done again, which costs only time.
        self._database.write(lambda db: store_parts.move_part(db, job_id, key, target, values), durable=False)

    def _expect_started(self, db: sqlite3.Connection, job_id: int, values: Mapping[str, Any]) -> None:
        if not store_jobs.change(db, job_id, (JobStatus.STARTED,), values):
            raise JobConflict(f"job {job_id} is {store_jobs.row_of(db, job_id)['status']}, not started")

    def _ended(self, status: JobStatus) -> dict[str, Any]:
        now = to_text(self._clock())
        return {"status": status, "finished_at": now, "heartbeat_at": now, **store_jobs.NO_OWNER}
