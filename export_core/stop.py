"""The flag that stops a job: set by a signal, by ``packmule cancel``, or by a restart from elsewhere.

A signal means all jobs of a process, the other two mean one job: so each job has a flag of its own whose
parent is the process's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
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

    def __init__(self, parent: Stop | None = None) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._reason: StopReason | None = None
        self._parent = parent

    @property
    def reason(self) -> StopReason | None:
        """Why to stop; None while the job may go on. What a parent is asked counts for its children too."""
        return self._reason or (self._parent.reason if self._parent else None)

    def request(self, reason: StopReason | str) -> None:
        """Ask the job to stop. The first reason stays, except that a cancellation beats an interruption."""
        wanted = StopReason(reason)
        with self._lock:
            if self._reason is None or wanted is StopReason.CANCEL:
                self._reason = wanted
        self._event.set()

    def check(self) -> None:
        """Raise Interrupted or Cancelled when the job must stop."""
        if (reason := self.reason) is not None:
            raise error_for(reason)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until somebody asks this very flag, at most ``seconds``; say whether somebody did."""
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


_LOOK_EVERY = 0.2
_around: ContextVar[Stop | None] = ContextVar("stop", default=None)


@contextmanager
def interrupting(stop: Stop, interrupt: Callable[[], None]) -> Iterator[None]:
    """Call ``interrupt`` every now and then, from another thread, once the job must stop.

    For what waits where it cannot ask ``check``: a statement that a database works on, or that waits for a
    lock. Again and again, because the next such wait may just be beginning.
    """
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_LOOK_EVERY):
            if stop.reason is not None:
                interrupt()

    thread = threading.Thread(target=watch, name="interrupting", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def stoppable_by(stop: Stop) -> Iterator[None]:
    """What this thread calls in the block breaks off its waits (``breaking_off``) when ``stop`` says so."""
    token = _around.set(stop)
    try:
        yield
    finally:
        _around.reset(token)


@contextmanager
def breaking_off(interrupt: Callable[[], None]) -> Iterator[None]:
    """``interrupting`` for whoever has no flag at hand: by that of the ``stoppable_by`` around it, if any."""
    stop = _around.get()
    if stop is None:
        yield
    else:
        with interrupting(stop, interrupt):
            yield
