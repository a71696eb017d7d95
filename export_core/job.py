"""Jobs and their states. Pure: no clock, no file, no database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class JobStatus(StrEnum):
    """Where a job stands. ``interrupted`` is not stored: it is a started job whose owner is gone."""

    QUEUED = "queued"
    """Waits for ``packmule work``, or for its turn in this process."""
    STARTED = "started"
    """A process owns it and works on it."""
    FINISHED = "finished"
    """The archive was delivered."""
    FAILED = "failed"
    """It ended with an error; it can be resumed."""
    CANCELLED = "cancelled"
    """Somebody cancelled it; its work directory is gone."""
    INTERRUPTED = "interrupted"
    """Its owner (host, pid, process start time, heartbeat) is gone; it can be resumed."""


class Phase(StrEnum):
    """What a started job is doing."""

    PLANNING = "planning"
    EXPORTING = "exporting"
    ARCHIVING = "archiving"
    DELIVERING = "delivering"


class PartStatus(StrEnum):
    """Where a part stands."""

    QUEUED = "queued"
    STARTED = "started"
    FINISHED = "finished"
    FAILED = "failed"


JOB_TRANSITIONS: Mapping[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset({JobStatus.STARTED, JobStatus.CANCELLED, JobStatus.FAILED}),
    JobStatus.STARTED: frozenset(
        {JobStatus.FINISHED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.QUEUED, JobStatus.STARTED}
    ),
    JobStatus.FAILED: frozenset({JobStatus.STARTED, JobStatus.QUEUED, JobStatus.CANCELLED}),
    JobStatus.FINISHED: frozenset(),
    JobStatus.CANCELLED: frozenset({JobStatus.STARTED, JobStatus.QUEUED}),
}
"""What may follow what. ``started -> started`` is a new owner taking over an interrupted job."""


def sources_of(target: JobStatus) -> tuple[JobStatus, ...]:
    """The states from which a job may become ``target``, for the store's guarded updates."""
    return tuple(status for status, targets in JOB_TRANSITIONS.items() if target in targets)


UNFINISHED = (JobStatus.INTERRUPTED, JobStatus.FAILED)
"""States of a job that can be resumed: it keeps its work directory and its upload until it expires."""

MISSING = "missing: "
"""Begins a warning about something that should be in the archive and is not (``--allow-missing``)."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that runs a job. ``process_started`` tells a reused pid from the old process."""

    host: str
    pid: int
    process_started: float


@dataclass(frozen=True, slots=True)
class StrategyChoice:
    """The after-export strategy of a job with its options, as stored with the job.

    ``destination`` is what may be shown (secrets masked); ``options`` is what the strategy needs and may
    hold secrets: it never leaves the job store.
    """

    name: str
    destination: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What the user asked for; stored when the job is created and never changed after."""

    project: str
    source: str
    """Name of the source in config.toml, or its URL with secrets masked."""
    source_options: Mapping[str, Any] = field(default_factory=dict)
    """What opens the source again on resume; may hold secrets, never shown."""
    strategy: StrategyChoice = StrategyChoice("notification")
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    workers: int | None = None
    compression_level: int = 1
    allow_missing: bool = False
    strict: bool = False
    reuse: bool = True
    notify: tuple[str, ...] = ()
    """Notification URLs; secrets, never shown."""
    export_options: Mapping[str, Any] = field(default_factory=dict)
    """Options that only the source reads, such as ``as_user``."""


@dataclass(frozen=True, slots=True)
class ArchiveInfo:
    """A finished archive. ``path`` is where it is now; None when no local file was kept."""

    path: str | None
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """One snapshot that parts of a job were read from."""

    number: int
    """0 for the first run, 1 after the first resume with a new snapshot, ..."""
    token: str
    taken_at: str
    """ISO 8601, UTC."""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RelationState:
    """A relation of a job, summed over its parts."""

    name: str
    status: PartStatus
    lines: int
    bytes: int
    parts: int
    parts_finished: int
    seconds: float
    started_at: str | None = None
    finished_at: str | None = None
    snapshots: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """Why a job failed, as shown and as stored."""

    kind: str
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One export as the store knows it. Times are ISO 8601 in UTC with milliseconds."""

    id: int
    request: JobRequest
    status: JobStatus
    phase: Phase | None
    created_at: str
    started_at: str | None = None
    finished_at: str | None = None
    heartbeat_at: str | None = None
    owner: Owner | None = None
    attempts: int = 0
    archive: ArchiveInfo | None = None
    snapshots: tuple[SnapshotInfo, ...] = ()
    relations: tuple[RelationState, ...] = ()
    warnings: tuple[str, ...] = ()
    error: ErrorInfo | None = None
    fingerprint: str | None = None
    reused_from: int | None = None
    delivery: Mapping[str, Any] = field(default_factory=dict)
    """What the strategy reported: where the archive went (masked)."""
    in_store: bool = False
    """Whether the archive lies in packmule's own store, and is packmule's to clean."""
    archive_removed_at: str | None = None
    """When ``packmule clean`` removed the archive; ``archive`` is None from then on."""
    failures: int = 0
    """How often it failed since it was created or restarted."""
    retry_at: str | None = None
    """When ``packmule work`` tries a failed job again; None: it does not."""

    @property
    def project(self) -> str:
        """Full path of the exported project."""
        return self.request.project

    @property
    def place(self) -> str | None:
        """Where the archive is, or is to go, masked; None when that is packmule's own store."""
        told = self.delivery.get("destination") or (self.archive.path if self.archive else None)
        return str(told) if told else self.request.strategy.destination

    @property
    def incomplete(self) -> bool:
        """Whether something that should be in the archive is not, because the user allowed that."""
        return any(warning.startswith(MISSING) for warning in self.warnings)
