"""Ctrl-C, SIGTERM and SIGHUP while jobs run: the first asks to stop, the second stops at once.

Signals arrive through a pipe that a thread of its own reads (``signal.set_wakeup_fd``): the C half of
Python's handler writes to it even while the main thread sits in a long call of a C library, and the thread
may take locks, which a Python signal handler must not.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from export_core.stop import Stop, StopReason

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
EXIT_AT_ONCE = 130
GRACE = 2.0
"""Seconds that the second signal grants for giving the job back to the store."""


def _print(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # the terminal may be what has gone
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


@contextlib.contextmanager
def stopping(
    stop: Stop, at_once: Callable[[], None], leave: Callable[[int], None] = os._exit
) -> Iterator[None]:
    """While inside, the first signal requests ``stop``; the second runs ``at_once`` and leaves with 130.

    A signal that was ignored when packmule began stays ignored (``nohup``). Only for the main thread.
    """
    ours, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    caught = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, _noted) for number in caught}
    wakeup_before = signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch, args=(ours, stop, at_once, leave), daemon=True, name="signals")
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup_before)
        for number, handler in before.items():
            signal.signal(number, handler)
        wakeup.close()  # the watcher reads the end of the stream and ends
        watcher.join(GRACE)


def _noted(_number: int, _frame: FrameType | None) -> None:
    """Do nothing here: the watcher does it. Without a handler of ours Python would do its own."""


def _watch(
    signals: socket.socket, stop: Stop, at_once: Callable[[], None], leave: Callable[[int], None]
) -> None:
    """Read signal numbers until the other end is closed."""
    with signals:
        while numbers := signals.recv(16):
            for number in numbers:
                if stop.reason is None and number in SIGNALS:
                    stop.request(StopReason.INTERRUPT)
                    _print("\nfinishing running parts; press Ctrl-C again to stop at once")
                elif number in (signal.SIGINT, signal.SIGTERM):  # a closing terminal may send SIGHUP twice
                    _leave_at_once(at_once, leave)


def _leave_at_once(at_once: Callable[[], None], leave: Callable[[int], None]) -> None:
    """Give the job back if that is quickly done, then leave without waiting for any thread."""
    attempt = threading.Thread(target=at_once, daemon=True)
    attempt.start()
    attempt.join(GRACE)
    leave(EXIT_AT_ONCE)
