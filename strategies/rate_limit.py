"""``--limit-rate``: holds uploads to a number of bytes per second, shared by all threads of a delivery."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

from export_core.errors import UsageError

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]?)(?:i?B)?(?:/s)?", re.IGNORECASE)
_LONGEST_SLEEP = 0.2
"""Seconds; between two sleeps the delivery looks whether it must stop."""


def parse_rate(text: str) -> int:
    """Bytes per second from ``500K``, ``20M``, ``1.5G`` or a plain number; K, M, G are powers of 1024."""
    match = _RATE.fullmatch(text.strip())
    rate = int(float(match[1]) * _UNITS[match[2].upper()]) if match else 0
    if rate < 1:
        raise UsageError(f"{text!r} is not a rate", hint="give bytes per second, for example 500K, 20M or 1G")
    return rate


def _go_on() -> None:
    """Never stop."""


class RateLimit:
    """A token bucket: whoever wants to move ``n`` bytes waits until they are due. Safe for many threads."""

    def __init__(
        self,
        rate: int | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.rate = rate
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._due = clock()

    def take(self, count: int, check_stop: Callable[[], None] = _go_on) -> None:
        """Wait until ``count`` more bytes are within the rate. ``check_stop`` is called while waiting."""
        if self.rate is None:
            return
        due = self._book(count / self.rate)
        while (wait := due - self._clock()) > 0:
            check_stop()
            self._sleep(min(wait, _LONGEST_SLEEP))

    def _book(self, seconds: float) -> float:
        """Reserve the next ``seconds`` of the line and say when they end. Idle time is not saved up."""
        with self._lock:
            self._due = max(self._due, self._clock()) + seconds
            return self._due
