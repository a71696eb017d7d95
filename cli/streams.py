"""The standard streams as a shell hands them over: closed, full, without a reader, of a small encoding."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TextIO


def prepare() -> None:
    """Make the three streams usable, and new files their owner's. Called once, before anything is opened.

    A closed descriptor would be given to the next file that is opened (the job store, say), and messages
    would be written into it. Names of projects and files may hold what the terminal's encoding does not
    have: it is then escaped, or for file names in UTF-8 given back byte by byte.
    """
    os.umask(0o077)
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 -- for the whole run
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    is_utf8 = sys.stdout.encoding.lower().replace("-", "") == "utf8"
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="surrogateescape" if is_utf8 else "backslashreplace")


def finish(code: int) -> tuple[int, str | None]:
    """Write out what stdout still holds; the exit code, and a message when that is not possible.

    A reader that has left (``packmule list | head``) is no fault: as for any filter, 128 + SIGPIPE.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        forget_stdout()
        return 128 + signal.SIGPIPE, None
    except OSError as exc:
        forget_stdout()
        return code or 1, f"stdout cannot be written: {exc.strerror}"
    return code, None


def forget_stdout() -> None:
    """Send to nowhere what Python would try once more to write when it ends."""
    _forget(sys.stdout)


def forget_unheard() -> None:
    """Drop messages that stderr could not take: Python would answer them with its own exit code, 120."""
    try:
        sys.stderr.flush()
    except (OSError, ValueError):
        _forget(sys.stderr)


def _forget(stream: TextIO) -> None:
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
