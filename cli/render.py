"""Jobs as JSON objects and as plain words. Pure functions; ``render_tables`` draws with rich.

The keys of the JSON objects are a contract: scripts rely on them. Secrets are not in what is shown: options,
notification URLs and checkpoints stay in the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from export_core.job import ArchiveInfo, ErrorInfo, Job, JobStatus, RelationState, SnapshotInfo
from export_core.quantities import human_bytes, human_seconds

if TYPE_CHECKING:
    from export_core.export_status import ProjectExport
    from export_core.removal import Result

JSON = dict[str, Any]


def job_json(job: Job) -> JSON:
    """A job under the keys of the contract."""
    return {
        "id": job.id,
        "project": job.project,
        "source": job.request.source,
        "status": job.status.value,
        "phase": job.phase.value if job.phase else None,
        "strategy": {"name": job.request.strategy.name, "destination": job.request.strategy.destination},
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "archive": archive_json(job.archive),
        "relations": [_relation_json(relation) for relation in job.relations],
        "warnings": list(job.warnings),
        "error": _error_json(job.error),
    }


def job_details_json(job: Job) -> JSON:
    """A job with all that ``show`` knows besides."""
    owner = job.owner
    return {
        **job_json(job),
        "attempts": job.attempts,
        "failures": job.failures,
        "retry_at": job.retry_at,
        "heartbeat_at": job.heartbeat_at,
        "owner": None if owner is None else {"host": owner.host, "pid": owner.pid},
        "snapshots": [_snapshot_json(snapshot, job.relations) for snapshot in job.snapshots],
        "fingerprint": job.fingerprint,
        "reused_from": job.reused_from,
        "delivery": dict(job.delivery),
        "archive_removed_at": job.archive_removed_at,
    }


def archive_json(archive: ArchiveInfo | None) -> JSON | None:
    """An archive; its path is null when no local file was kept."""
    return None if archive is None else {"path": archive.path, "size": archive.size, "sha256": archive.sha256}


def _relation_json(relation: RelationState) -> JSON:
    return {
        "name": relation.name,
        "status": relation.status.value,
        "lines": relation.lines,
        "bytes": relation.bytes,
        "parts": relation.parts,
        "seconds": relation.seconds,
    }


def _error_json(error: ErrorInfo | None) -> JSON | None:
    return None if error is None else {"kind": error.kind, "message": error.message, "hint": error.hint}


def _snapshot_json(snapshot: SnapshotInfo, relations: Iterable[RelationState]) -> JSON:
    return {
        "number": snapshot.number,
        "taken_at": snapshot.taken_at,
        "relations": relations_of(snapshot, relations),
        "details": {key: value for key, value in snapshot.details.items() if not key.startswith("_")},
    }


def relations_of(snapshot: SnapshotInfo, relations: Iterable[RelationState]) -> list[str]:
    """The relations of which something was read from a snapshot."""
    return [relation.name for relation in relations if snapshot.number in relation.snapshots]


def status_json(project: str, found: ProjectExport) -> JSON:
    """``packmule status`` as JSON."""
    return {
        "project": project,
        "status": found.status.value,
        "job": found.job.id if found.job else None,
        "archive": archive_json(found.available.archive) if found.available else None,
    }


def status_words(project: str, found: ProjectExport) -> str:
    """``packmule status`` for people."""
    words = [f"{project}: {found.status.value}"]
    if found.job is not None:
        words.append(f"job {found.job.id}{_is_interrupted(found.job)}")
    if found.job is not None and found.job.error is not None:
        words.append(one_line(found.job.error.message))
    if found.available is not None:
        words.append(f"archive: {destination(found.available)} (job {found.available.id})")
    return "\n  ".join(words)


def _is_interrupted(job: Job) -> str:
    if job.status is not JobStatus.INTERRUPTED:
        return ""
    return f", interrupted: packmule resume {job.id} continues it"


def cleanup_json(results: Sequence[Result], *, dry_run: bool) -> JSON:
    """A clean-up as JSON: what is to be removed (``dry_run``), or what became of it."""
    return {
        "dry_run": dry_run,
        "removals": [_result_json(result, dry_run=dry_run) for result in results],
        "bytes": sum(result.removal.size for result in results if result.error is None),
    }


def _result_json(result: Result, *, dry_run: bool) -> JSON:
    removal = result.removal
    return {
        "kind": removal.kind.value,
        "target": removal.target,
        "reason": removal.reason,
        "jobs": list(removal.jobs),
        "bytes": removal.size,
        "removed": not dry_run and result.error is None,
        "error": result.error,
    }


def removal_line(result: Result) -> str:
    """One removal as a line: the same words in a dry run and when it was carried out."""
    removal = result.removal
    size = f", {human_bytes(removal.size)}" if removal.size else ""
    line = f"{removal.kind.value}: {removal.target} ({removal.reason}{size})"
    return line if result.error is None else f"{line}: NOT REMOVED: {result.error}"


def destination(job: Job) -> str:
    """Where a job's archive is, or is to go."""
    return job.place or "packmule's own store"


def age(job: Job, now: datetime) -> str:
    """How long ago a job was made: ``5 s``, ``12 min``, ``3 h``, ``9 d``."""
    span = max(now - datetime.fromisoformat(job.created_at), timedelta(0))
    for unit, length in (("d", timedelta(days=2)), ("h", timedelta(hours=2)), ("min", timedelta(minutes=2))):
        if span >= length:
            return f"{span // (length / 2)} {unit}"
    return f"{int(span.total_seconds())} s"


def duration(job: Job, now: datetime) -> str:
    """How long a job took, or has been running; empty before it started."""
    if job.started_at is None:
        return ""
    last = job.heartbeat_at if job.status is JobStatus.INTERRUPTED else job.finished_at
    end = datetime.fromisoformat(last) if last else now
    return human_seconds(max((end - datetime.fromisoformat(job.started_at)).total_seconds(), 0.0))


def one_line(text: str) -> str:
    """A message without its line breaks."""
    return " ".join(text.split())
