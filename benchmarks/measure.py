"""Runs a command as a user would, and says what it took."""

from __future__ import annotations

import os
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_SAMPLES_EVERY = 0.01
_COLUMNS, _LINES = "100", "30"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a command: seconds, and peak RSS in bytes of its largest process."""

    wall: float
    cpu: float
    """Of the command and what it started."""
    server_cpu: float
    """Of the database server meanwhile; 0 where it was not watched."""
    peak_rss: int


@dataclass(frozen=True, slots=True)
class Command:
    """What is run, in which environment, for which result."""

    words: Sequence[str]
    environment: Mapping[str, str]
    result: Path
    on_terminal: bool = False
    """With standard error on a terminal, so that progress is drawn."""


def run(command: Command, postmaster: int | None = None) -> Run:
    """Run a command to its end. Raises CalledProcessError, with its last words, when it fails."""
    command.result.unlink(missing_ok=True)
    before = _server_cpu(postmaster)
    begun = time.monotonic()
    with _terminal(on=command.on_terminal) as (stderr, words):
        process = subprocess.Popen(
            command.words,
            env=_environment(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
        # Popen's own wait would not tell the resources.
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        said = b"".join(words)[-2000:].decode(errors="replace")
        raise subprocess.CalledProcessError(process.returncode, command.words, stderr=said)
    server = _settled_server_cpu(postmaster, before) - before
    return Run(wall, used.ru_utime + used.ru_stime, server, used.ru_maxrss * 1024)


def _environment(command: Command) -> dict[str, str]:
    """Ours, except that Python keeps what it compiled, as it does for users."""
    ours = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**ours, **command.environment, "COLUMNS": _COLUMNS, "LINES": _LINES}


@contextmanager
def _terminal(*, on: bool) -> Iterator[tuple[int, list[bytes]]]:
    """Where standard error goes, and what comes out there; a thread reads it, as a terminal does."""
    reading, writing = os.openpty() if on else os.pipe()
    words: list[bytes] = []

    def read() -> None:
        with suppress(OSError):  # a terminal ends with an error when its last writer has gone
            while block := os.read(reading, 65536):
                words.append(block)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield writing, words
    finally:
        os.close(writing)
        reader.join()
        os.close(reading)


def _server_cpu(postmaster: int | None) -> float:
    """CPU seconds of the server's processes that have ended, and of those that run for good."""
    if postmaster is None:
        return 0.0
    # Fields 16 and 17 of stat(5), counted behind the command's closing parenthesis.
    fields = Path(f"/proc/{postmaster}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / _TICKS


def _settled_server_cpu(postmaster: int | None, before: float) -> float:
    """The same, once the backends of a finished command have ended and been counted."""
    value, deadline = _server_cpu(postmaster), time.monotonic() + 1
    while postmaster is not None and time.monotonic() < deadline:
        time.sleep(0.05)
        later = _server_cpu(postmaster)
        if later == value > before:
            break
        value = later
    return value


def peak_disk(places: Sequence[Path], action: Callable[[], object]) -> int:
    """The most bytes that lay below these directories while ``action`` ran."""
    done, peak = threading.Event(), 0

    def sample() -> None:
        nonlocal peak
        while not done.wait(_SAMPLES_EVERY):
            begun = time.monotonic()
            found = sum(_size(place) for place in places)
            # A slow look sees files before, and what they were moved to after.
            if time.monotonic() - begun < _SAMPLES_EVERY:
                peak = max(peak, found)

    watcher = threading.Thread(target=sample, daemon=True)
    watcher.start()
    try:
        action()
    finally:
        done.set()
        watcher.join()
    return peak


def _size(place: Path) -> int:
    """Bytes of a file, or of all files below a directory, as far as they still are there."""
    total = 0
    with suppress(FileNotFoundError):
        if not place.is_dir():
            return place.stat().st_size
    with suppress(FileNotFoundError), os.scandir(place) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                inner = Path(entry.path)
                total += _size(inner) if entry.is_dir() else entry.stat(follow_symlinks=False).st_size
    return total


def median(values: Iterable[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def alternately(
    commands: Mapping[str, Command], rounds: int, postmaster: int | None, say: Callable[[str], None]
) -> dict[str, list[Run]]:
    """Run all commands in turn, ``rounds`` times, so that what else the machine does hits all alike."""
    found: dict[str, list[Run]] = {name: [] for name in commands}
    for number in range(rounds):
        # Every other round backwards: none always follows the same one.
        for name in list(commands)[:: 1 if number % 2 == 0 else -1]:
            say(f"round {number + 1} of {rounds}: {name}")
            found[name].append(run(commands[name], postmaster))
    return found
