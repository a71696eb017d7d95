"""Durations as people write them (``24h``, ``7d``), and quantities as people read them."""

from __future__ import annotations

import re
from datetime import timedelta

from export_core.errors import UsageError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def parse_duration(text: str) -> timedelta:
    """``90s``, ``30m``, ``24h``, ``7d``, ``2w``, or several joined (``1d12h``); ``0`` is no time at all.

    Raises UsageError for anything else.
    """
    if text.strip() == "0":
        return timedelta(0)
    pieces = re.findall(r"(\d+(?:\.\d+)?)([smhdw])", text.strip().lower())
    if not pieces or "".join(number + unit for number, unit in pieces) != text.strip().lower():
        raise UsageError(f"{text!r} is not a duration", hint="write 90s, 30m, 24h, 7d or 2w")
    return timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in pieces))


def human_bytes(count: float) -> str:
    """``0 B``, ``1.5 KB``, ``20 MB``, ``1.2 GB``: in steps of 1000, as disks are sold."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.5 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


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
