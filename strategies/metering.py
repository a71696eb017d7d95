"""Progress of a delivery: bytes moved by any number of threads, told as ``BytesMoved`` events."""

from __future__ import annotations

import threading

from export_core.events import BytesMoved, Listener
from export_core.job import Phase

_STEP = 1 << 20
"""Bytes between two events; finer progress than a mebibyte is of no use to anybody."""


class Meter:
    """Counts delivered bytes. Safe for many threads; parts sent anew are taken back with ``rewind``."""

    def __init__(self, job: int, total: int | None, listener: Listener, *, done: int = 0) -> None:
        self._job = job
        self._total = total
        self._listener = listener
        self._lock = threading.Lock()
        self._done = done
        self._told = -_STEP

    def add(self, count: int) -> None:
        """``count`` more bytes were moved."""
        with self._lock:
            self._done += count
            whole = self._done == self._total
            if whole or abs(self._done - self._told) >= _STEP:
                self._tell()

    def reach(self, done: int) -> None:
        """All in all ``done`` bytes were moved, for whoever counts them himself."""
        with self._lock:
            self._done = done
            self._tell()

    def rewind(self, count: int) -> None:
        """``count`` bytes must be moved again."""
        with self._lock:
            self._done -= count
            self._tell()

    def _tell(self) -> None:
        self._told = self._done
        self._listener(BytesMoved(self._job, Phase.DELIVERING, self._done, self._total))
