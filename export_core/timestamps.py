"""Moments as packmule stores and shows them: ISO 8601 in UTC with milliseconds, which sorts as text."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """This moment; what takes a clock takes this one unless told otherwise."""
    return datetime.now(UTC)


def to_text(moment: datetime) -> str:
    """A moment as text, for example ``2026-01-01T12:00:00.000Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_time(text: str | None) -> datetime | None:
    """The reverse of ``to_text``; None stays None."""
    return None if text is None else datetime.fromisoformat(text)
