"""What clean-up removes: a pure plan, made from the jobs, the time, the rules, and what lies on the disk.

Ages are those of the job store, never those of files. A living job (queued, or started with a living owner)
and its files are never touched, nor is any file outside packmule's own directory. ``removal`` carries a
plan out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import PurePath

from export_core.job import UNFINISHED, Job, JobStatus
from export_core.quantities import short_duration
from export_core.retention import Retention

LIVING = (JobStatus.QUEUED, JobStatus.STARTED)


class RemovalKind(StrEnum):
    """What is removed."""

    EXPIRED_JOB = "expired job"
    """An interrupted job is given up: it becomes failed."""
    UPLOAD = "upload"
    """What an unfinished delivery left at the destination."""
    WORK_DIRECTORY = "work directory"
    ARCHIVE = "archive"
    JOB = "job"
    """The row in the job store."""
    EMBEDDED_SERVER = "embedded server"
    """A server that a killed process left running: it is stopped."""
    EMBEDDED_INSTANCE = "embedded instance"
    """The embedded instance with all projects in it."""


@dataclass(frozen=True, slots=True)
class Removal:
    """One thing to remove, and why. ``jobs`` are those whose removal it is, or that refer to it."""

    kind: RemovalKind
    target: str
    """The path, or what else names it."""
    reason: str
    jobs: tuple[int, ...] = ()
    size: int = 0
    """Bytes that become free."""
    by_age: bool = field(default=False, compare=False)
    """An archive that became too old, or a job that was waited for too long: whoever waits is told."""


@dataclass(frozen=True, slots=True)
class Policy(Retention):
    """What one clean-up removes."""

    failed: bool = False
    """Remove failed jobs, whatever their age."""
    everything: bool = False
    """Remove every ended or interrupted job and its archive; only ``keep_last`` still holds."""
    embedded: bool = False
    """Remove the embedded instance, if nobody uses it."""


@dataclass(frozen=True, slots=True)
class OnDisk:
    """A file or directory of packmule's own. ``job`` is the id in its path, None when there is none."""

    path: str
    job: int | None
    size: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What there is besides the jobs. Looked up before the jobs are read: rows come before their files."""

    work_directories: tuple[OnDisk, ...] = ()
    archives: tuple[OnDisk, ...] = ()
    """Files in packmule's own archive store."""
    uploads: frozenset[int] = frozenset()
    """Jobs with a delivery checkpoint."""
    embedded: OnDisk | None = None
    """The embedded instance, when nobody uses it."""
    embedded_runs: bool = False


@dataclass(frozen=True, slots=True)
class _Survey:
    """Everything that the rules look at."""

    now: datetime
    policy: Policy
    facts: Facts
    kept_archives: frozenset[str]
    jobs: Mapping[int, Job] = field(default_factory=dict)

    def is_older(self, job: Job, age: timedelta) -> bool:
        """Whether a job's last sign of life is more than ``age`` ago."""
        return self.now - last_sign_of_life(job) > age

    def is_expired(self, job: Job) -> bool:
        """Whether an unfinished job will not be waited for any longer."""
        return job.status in UNFINISHED and (
            self.is_older(job, self.policy.expire_unfinished) or self.is_dropped(job)
        )

    def is_dropped(self, job: Job) -> bool:
        """Whether the job's row goes. A row stays as long as its archive is in packmule's store."""
        if job.status in LIVING or archive_path(job) in self.kept_archives:
            return False
        if self.policy.everything:
            return True
        if job.status is JobStatus.FAILED and self.policy.failed:
            return True
        return job.status is not JobStatus.INTERRUPTED and self.is_older(job, self.policy.jobs)

    def is_needed(self, job_id: int | None) -> bool:
        """Whether a job still lives on its work directory."""
        job = None if job_id is None else self.jobs.get(job_id)
        if job is None:
            return False
        return job.status in LIVING or (job.status in UNFINISHED and not self.is_expired(job))


def plan_cleanup(jobs: Iterable[Job], now: datetime, policy: Policy, facts: Facts) -> list[Removal]:
    """Everything that the rules remove, oldest job first, in the order in which it is to be done."""
    known = {job.id: job for job in sorted(jobs, key=lambda job: job.id)}
    kept = frozenset(_kept_archives(list(known.values()), now, policy))
    survey = _Survey(now, policy, facts, kept, known)
    return [
        *_expired_jobs(survey),
        *_uploads(survey),
        *_work_directories(survey),
        *_archives(survey),
        *_orphaned_archives(survey),
        *_job_rows(survey),
        *_embedded(survey),
    ]


def leftovers(job: Job, facts: Facts) -> list[Removal]:
    """What a job that has just been cancelled leaves: its upload and its work directory."""
    survey = _Survey(last_sign_of_life(job), Policy(), facts, frozenset(), {job.id: job})
    own = [*_uploads(survey), *_work_directories(survey)]
    return [removal for removal in own if removal.jobs == (job.id,)]


def last_sign_of_life(job: Job) -> datetime:
    """The latest time that the store knows of a job."""
    times = (job.created_at, job.started_at, job.heartbeat_at, job.finished_at)
    return max(datetime.fromisoformat(text) for text in times if text is not None)


def archive_path(job: Job) -> str | None:
    """Where a finished job's archive lies in packmule's own store; None when it is not there."""
    if job.status is not JobStatus.FINISHED or not job.in_store or job.archive is None:
        return None
    return job.archive.path


def _kept_archives(jobs: Sequence[Job], now: datetime, policy: Policy) -> Iterator[str]:
    """Archives that some finished job still has a right to: one that is young, or among the last few."""
    seen: dict[str, set[str]] = {}
    for job in sorted(jobs, key=lambda job: job.id, reverse=True):
        path = archive_path(job)
        if path is None:
            continue
        of_project = seen.setdefault(job.project, set())
        young = not policy.everything and now - last_sign_of_life(job) <= policy.archives
        if young or path in of_project or len(of_project) < policy.keep_last:
            yield path
            of_project.add(path)


def _expired_jobs(survey: _Survey) -> Iterator[Removal]:
    for job in survey.jobs.values():
        if job.status is JobStatus.INTERRUPTED and survey.is_expired(job):
            why, by_age = _why_ended(survey, job), not survey.policy.everything
            yield Removal(RemovalKind.EXPIRED_JOB, f"job {job.id}", why, (job.id,), by_age=by_age)


def _uploads(survey: _Survey) -> Iterator[Removal]:
    for job in survey.jobs.values():
        ended = job.status is JobStatus.CANCELLED or survey.is_expired(job)
        if job.id in survey.facts.uploads and ended:
            destination = job.request.strategy.destination or job.request.strategy.name
            yield Removal(RemovalKind.UPLOAD, destination, _why_ended(survey, job), (job.id,))


def _work_directories(survey: _Survey) -> Iterator[Removal]:
    for found in survey.facts.work_directories:
        if not survey.is_needed(found.job):
            job = survey.jobs.get(found.job) if found.job is not None else None
            reason = "belongs to no job" if job is None else _why_ended(survey, job)
            jobs = () if job is None else (job.id,)
            yield Removal(RemovalKind.WORK_DIRECTORY, found.path, reason, jobs, found.size)


def _archives(survey: _Survey) -> Iterator[Removal]:
    users: dict[str, list[int]] = {}
    for job in survey.jobs.values():
        path = archive_path(job)
        if path is not None and path not in survey.kept_archives:
            users.setdefault(path, []).append(job.id)
    sizes = {found.path: found.size for found in survey.facts.archives}
    by_age = not survey.policy.everything
    reason = f"older than {short_duration(survey.policy.archives)}" if by_age else "all are removed"
    for path, jobs in users.items():
        yield Removal(RemovalKind.ARCHIVE, path, reason, tuple(jobs), sizes.get(path, 0), by_age)


def _orphaned_archives(survey: _Survey) -> Iterator[Removal]:
    # By the last two names only: PACKMULE_HOME may have been spelled differently, or moved, since.
    referred = {PurePath(archive_path(job) or "").parts[-2:] for job in survey.jobs.values()}
    for found in survey.facts.archives:
        if PurePath(found.path).parts[-2:] not in referred and not survey.is_needed(found.job):
            yield Removal(RemovalKind.ARCHIVE, found.path, "belongs to no job", (), found.size)


def _job_rows(survey: _Survey) -> Iterator[Removal]:
    for job in survey.jobs.values():
        if survey.is_dropped(job):
            yield Removal(
                RemovalKind.JOB, f"job {job.id} ({job.project})", _why_dropped(survey, job), (job.id,)
            )


def _embedded(survey: _Survey) -> Iterator[Removal]:
    found = survey.facts.embedded
    if found is None:
        return
    if survey.facts.embedded_runs:
        yield Removal(RemovalKind.EMBEDDED_SERVER, found.path, "runs although nobody uses it")
    if survey.policy.embedded:
        yield Removal(RemovalKind.EMBEDDED_INSTANCE, found.path, "not used", (), found.size)


def _why_ended(survey: _Survey, job: Job) -> str:
    if job.status not in UNFINISHED:
        return f"job {job.id} is {job.status}"
    if survey.is_dropped(job):
        return f"job {job.id} is removed"
    return f"no sign of life for more than {short_duration(survey.policy.expire_unfinished)}"


def _why_dropped(survey: _Survey, job: Job) -> str:
    if survey.policy.everything:
        return "all are removed"
    if job.status is JobStatus.FAILED and survey.policy.failed:
        return "failed"
    return f"{job.status}, older than {short_duration(survey.policy.jobs)}"
