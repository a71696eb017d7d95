"""The one flag that stops a job: set by a signal, by ``packmule cancel``, or by a restart from elsewhere."""

from __future__ import annotations

import threading
from enum import StrEnum

from export_core.errors import Cancelled, Interrupted, PackmuleError


class StopReason(StrEnum):
    """Why a job must stop."""

    INTERRUPT = "interrupt"
    """Ctrl-C, SIGTERM or SIGHUP: the job stays resumable."""
    CANCEL = "cancel"
    """``packmule cancel``: the job ends and its work is removed."""
    RESTART = "restart"
    """Another process starts the same job anew; this one lets go of it."""


class Stop:
    """A thread-safe flag. Whoever works asks ``check`` between pieces of work; whoever waits uses ``wait``.

    ``request`` takes a lock, so that it must not be called from a Python signal handler: the handler may
    have interrupted the very thread that holds it. ``cli/signals.py`` calls it from a thread of its own.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._reason: StopReason | None = None

    @property
    def reason(self) -> StopReason | None:
        """Why to stop; None while the job may go on."""
        return self._reason

    def request(self, reason: StopReason | str) -> None:
        """Ask the job to stop. The first reason stays, except that a cancellation beats an interruption."""
        wanted = StopReason(reason)
        with self._lock:
            if self._reason is None or wanted is StopReason.CANCEL:
                self._reason = wanted
        self._event.set()

    def check(self) -> None:
        """Raise Interrupted or Cancelled when the job must stop."""
        if self._reason is not None:
            raise error_for(self._reason)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until somebody asks to stop, at most ``seconds``; say whether somebody did."""
        return self._event.wait(seconds)


def error_for(reason: StopReason) -> PackmuleError:
    """The error that ends a job for this reason."""
    match reason:
        case StopReason.CANCEL:
            return Cancelled("the job was cancelled")
        case StopReason.RESTART:
            return Interrupted("another process restarted this job, so that this one let go of it")
        case StopReason.INTERRUPT:
            return Interrupted("the export was interrupted")
