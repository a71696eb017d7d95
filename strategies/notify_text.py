"""What notifications say: pure functions from a job to a subject and a text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from export_core.job import Job
from export_core.quantities import exact_bytes, human_seconds

_MOST_WARNINGS = 20
"""More are counted, not listed: chat services cut long texts."""


class Kind(StrEnum):
    """What is told."""

    SUCCESS = "success"
    """The archive was delivered."""
    FAILURE = "failure"
    """The job ended with an error."""
    EXPIRED = "expired"
    """An archive was removed from packmule's store, or an unfinished job given up, because of its age."""


@dataclass(frozen=True, slots=True)
class Message:
    """A notification without its receivers. Plain text, no secrets."""

    kind: Kind
    subject: str
    body: str


def message_for(kind: Kind, job: Job) -> Message:
    """The notification about a job, as it stands in the store."""
    subject, lines = _TEXTS[kind](job)
    return Message(kind, f"packmule: {subject}", "\n".join(lines))


def _success(job: Job) -> tuple[str, Iterable[str]]:
    lines = [f"The export of {job.project} is finished (job {job.id}).", ""]
    lines += _named(
        {
            "Archive": job.place,
            "Size": exact_bytes(job.archive.size) if job.archive else None,
            "SHA-256": job.archive.sha256 if job.archive else None,
            "Duration": _took(job),
        }
    )
    return f"{job.project} exported", lines + _warnings(job.warnings)


def _failure(job: Job) -> tuple[str, Iterable[str]]:
    lines = [f"The export of {job.project} failed (job {job.id}).", ""]
    lines += _named(
        {
            "What happened": job.error.message if job.error else "not recorded",
            "What to do": job.error.hint if job.error else None,
            "While": job.phase,
            "Duration": _took(job),
            "To go on": f"packmule resume {job.id}",
        }
    )
    return f"export of {job.project} failed", lines + _warnings(job.warnings)


def _expired(job: Job) -> tuple[str, Iterable[str]]:
    if job.archive is None:
        return _given_up(job)
    lines = [f"The archive of {job.project} (job {job.id}) was removed from packmule's store.", ""]
    lines += _named(
        {
            "It was at": job.place,
            "Size": exact_bytes(job.archive.size),
            "Exported": job.finished_at,
            "To make a new one": f"packmule export {job.project}",
        }
    )
    return f"the archive of {job.project} has expired", lines


def _given_up(job: Job) -> tuple[str, Iterable[str]]:
    lines = [f"The unfinished export of {job.project} (job {job.id}) was not resumed and is given up.", ""]
    lines += _named(
        {
            "Last sign of life": job.heartbeat_at,
            "While": job.phase,
            "To start over": f"packmule resume {job.id} --restart",
        }
    )
    return f"the unfinished export of {job.project} has expired", lines


def _took(job: Job) -> str | None:
    if job.started_at is None or job.finished_at is None:
        return None
    span = datetime.fromisoformat(job.finished_at) - datetime.fromisoformat(job.started_at)
    return human_seconds(max(span.total_seconds(), 0.0))


def _named(values: dict[str, str | None]) -> list[str]:
    return [f"{name}: {value}" for name, value in values.items() if value]


def _warnings(warnings: tuple[str, ...]) -> list[str]:
    if not warnings:
        return []
    shown = [f"- {warning}" for warning in warnings[:_MOST_WARNINGS]]
    left = len(warnings) - len(shown)
    return ["", f"Warnings ({len(warnings)}):", *shown] + [f"- and {left} more: packmule show"] * bool(left)


_TEXTS = {Kind.SUCCESS: _success, Kind.FAILURE: _failure, Kind.EXPIRED: _expired}
