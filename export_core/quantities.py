"""Quantities as people read them, alike in tables and notifications; durations as people write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

from export_core.errors import UsageError

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def parse_duration(text: str) -> timedelta:
    """``100ms``, ``90s``, ``30m``, ``24h``, ``7d``, ``2w``, or several joined (``1d12h``).

    ``0`` is no time at all. Raises UsageError for anything else.
    """
    if text.strip() == "0":
        return timedelta(0)
    pieces = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhdw])", text.strip().lower())
    if not pieces or "".join(number + unit for number, unit in pieces) != text.strip().lower():
        raise UsageError(f"{text!r} is not a duration", hint="write 90s, 30m, 24h, 7d or 2w")
    return timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in pieces))


def short_duration(span: timedelta) -> str:
    """A duration in its largest whole unit, as ``parse_duration`` reads it: ``7d``, ``24h``, ``90s``."""
    seconds = int(span.total_seconds())
    for unit in ("d", "h", "m"):
        if seconds > _SECONDS[unit] and seconds % _SECONDS[unit] == 0:
            return f"{seconds // _SECONDS[unit]}{unit}"
    return f"{seconds}s"


def human_bytes(count: float) -> str:
    """``0 B``, ``1.5 KB``, ``20 MB``, ``1.2 GB``: in steps of 1000, as disks are sold."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.5 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def exact_bytes(count: int) -> str:
    """``1.6 GB (1,610,612,736 bytes)``."""
    return f"{human_bytes(count)} ({count:,} bytes)"


def human_count(count: float) -> str:
    """``950``, ``20,000``, ``1.2M``."""
    return f"{count:,.0f}" if count < 1e6 else f"{count / 1e6:.1f}M"


def counted(count: int, word: str) -> str:
    """``1 line``, ``20,000 lines``."""
    return f"{human_count(count)} {word}" + ("" if count == 1 else "s")


def human_seconds(seconds: float) -> str:
    """``0.8 s``, ``42 s``, ``3:05 min``, ``2:10 h``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02} h"


def listed(names: Sequence[str], most: int) -> str:
    """``a, b, c and 12 more``: at most ``most`` of the names."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
