"""Durations as people write them on the command line and in config.toml: ``24h``, ``7d``."""

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
