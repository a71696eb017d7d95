"""What notifications say: pure functions from a job to a subject and a text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from export_core.job import Job

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


def size_text(count: int) -> str:
    """Bytes for people, in powers of 1024: ``1.5 GiB (1,610,612,736 bytes)``."""
    value, unit = float(count), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{count:,} bytes" if unit == "bytes" else f"{value:.1f} {unit} ({count:,} bytes)"


def duration_text(start: str | None, end: str | None) -> str | None:
    """The time between two moments in ISO 8601: ``1 h 2 min 3 s``; None when one is not known."""
    if start is None or end is None:
        return None
    seconds = max(0, round((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()))
    hours, minutes = seconds // 3600, seconds // 60 % 60
    parts = [f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(seconds >= 60) + [f"{seconds % 60} s"]
    return " ".join(parts)


def place_of(job: Job) -> str | None:
    """Where a job's archive is, masked."""
    place = job.delivery.get("destination") or job.request.strategy.destination
    return str(place) if place else (job.archive.path if job.archive else None)


def _success(job: Job) -> tuple[str, Iterable[str]]:
    lines = [f"The export of {job.project} is finished (job {job.id}).", ""]
    lines += _named(
        {
            "Archive": place_of(job),
            "Size": size_text(job.archive.size) if job.archive else None,
            "SHA-256": job.archive.sha256 if job.archive else None,
            "Duration": duration_text(job.started_at, job.finished_at),
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
            "Duration": duration_text(job.started_at, job.finished_at),
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
            "It was at": place_of(job),
            "Size": size_text(job.archive.size) if job.archive else None,
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


def _named(values: dict[str, str | None]) -> list[str]:
    return [f"{name}: {value}" for name, value in values.items() if value]


def _warnings(warnings: tuple[str, ...]) -> list[str]:
    if not warnings:
        return []
    shown = [f"- {warning}" for warning in warnings[:_MOST_WARNINGS]]
    left = len(warnings) - len(shown)
    return ["", f"Warnings ({len(warnings)}):", *shown] + [f"- and {left} more: packmule show"] * bool(left)


_TEXTS = {Kind.SUCCESS: _success, Kind.FAILURE: _failure, Kind.EXPIRED: _expired}
