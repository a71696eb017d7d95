"""Which jobs ``packmule work`` runs next, and what becomes of one that failed.

A failed job is tried again after a while, a few times. A job whose process died (it was killed, or took the
interpreter with it) counts as failed, lest it be begun again and again without end.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

from export_core.errors import Interrupted, JobConflict, NotFound, UsageError
from export_core.job import ErrorInfo, Job, JobStatus
from export_core.timestamps import utc_now

RETRY_AFTER = (timedelta(minutes=1), timedelta(minutes=5))
"""Waits before the second and the third try; there is no fourth."""
HOPELESS = (UsageError.__name__, NotFound.__name__)
"""Kinds of errors that another try cannot mend."""


class QueueRecords(Protocol):
    """What is asked of the job store (see ``JobStore``)."""

    def get(self, job_id: int) -> Job:
        """One job."""
        ...

    def list(self, *, whole: bool) -> list[Job]:
        """All jobs, newest first; not ``whole``: without what is told of their relations."""
        ...

    def crash(self, job_id: int, error: ErrorInfo) -> None:
        """An interrupted job has failed."""
        ...

    def schedule_retry(self, job_id: int, at: datetime) -> None:
        """Try a failed job again, not before a time."""
        ...


class WorkQueue:
    """The queue as one ``packmule work`` sees it: each job once, but for retries of failed ones."""

    def __init__(self, records: QueueRecords, clock: Callable[[], datetime] = utc_now) -> None:
        self._records = records
        self._clock = clock
        self._tried: dict[int, int] = {}
        self.failed: set[int] = set()
        """Jobs that failed here and did not end well later, and those whose archive is incomplete."""

    def due(self, room: int, running: Collection[int]) -> list[Job]:
        """At most ``room`` jobs to begin now, oldest first."""
        if room <= 0:
            return []
        jobs = due_jobs(self._records.list(whole=False), self._clock(), self._tried)
        chosen = [job for job in jobs if job.id not in running][:room]
        self._tried.update({job.id: job.attempts for job in chosen})
        return chosen

    def ended(self, job_id: int, exit_code: int) -> str:
        """Record the end of a job's process; what became of the job, in a sentence."""
        try:
            job = self._settled(self._records.get(job_id), exit_code)
        except NotFound:
            return f"job {job_id} is gone"
        if job.status is JobStatus.FAILED:
            self.failed.add(job_id)
            return _failure_words(job, self._schedule(job))
        self.failed.discard(job_id)
        if job.incomplete:
            self.failed.add(job_id)
        return f"job {job_id}: {job.project} is {job.status}{', but incomplete' if job.incomplete else ''}"

    def _settled(self, job: Job, exit_code: int) -> Job:
        """The job after its process has ended; one that is left without an end has crashed."""
        if job.status is not JobStatus.INTERRUPTED or exit_code == Interrupted.exit_code:
            return job
        how = f"was killed by signal {-exit_code}" if exit_code < 0 else f"ended with exit code {exit_code}"
        error = ErrorInfo(
            "Crashed", f"the process that ran the job {how}", f"packmule resume {job.id} continues it."
        )
        try:
            self._records.crash(job.id, error)
        except JobConflict:  # somebody else resumed it this very moment
            return job
        return self._records.get(job.id)

    def _schedule(self, job: Job) -> datetime | None:
        at = retry_time(job, self._clock())
        if at is not None:
            self._records.schedule_retry(job.id, at)
        return at


def due_jobs(jobs: Iterable[Job], now: datetime, tried: Mapping[int, int]) -> list[Job]:
    """Queued and interrupted jobs, and failed ones whose time has come, oldest first.

    ``tried`` tells with how many attempts a job was begun here: without a new attempt or a new failure since,
    it was refused, and is not begun again.
    """
    wanted = [job for job in jobs if _is_due(job, now) and tried.get(job.id) != job.attempts]
    return sorted(wanted, key=lambda job: job.id)


def _is_due(job: Job, now: datetime) -> bool:
    if job.status is JobStatus.FAILED:
        return job.retry_at is not None and datetime.fromisoformat(job.retry_at) <= now
    return job.status in (JobStatus.QUEUED, JobStatus.INTERRUPTED)


def retry_time(job: Job, now: datetime) -> datetime | None:
    """When a failed job is tried again; None: never, it had its tries or cannot be helped."""
    if job.error is not None and job.error.kind in HOPELESS:
        return None
    if not 1 <= job.failures <= len(RETRY_AFTER):
        return None
    return now + RETRY_AFTER[job.failures - 1]


def _failure_words(job: Job, again: datetime | None) -> str:
    then = "it is not tried again" if again is None else f"it is tried again after {again:%H:%M:%S} UTC"
    message = job.error.message if job.error else "for an unknown reason"
    return f"job {job.id}: {job.project} failed: {message}; {then}"
