"""The processes in which ``packmule work`` runs jobs.

Each job gets a process of its own rather than a thread: a job that runs out of memory or crashes takes no
other with it, memory goes back to the system after every job, and several jobs are not slowed by one
interpreter lock.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Self

from export_core.errors import PackmuleError

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess
    from pathlib import Path

    from export_core.stop import Stop

GRACE = 30.0
"""Seconds that jobs get to stop after SIGTERM, before they are killed."""


class Workers:
    """At most ``limit`` processes, each running one job."""

    def __init__(self, invocation: Any, limit: int, target: Callable[..., None] | None = None) -> None:
        # spawn: a forked copy of a process that has threads may wait for ever for a lock that none holds
        self._context = multiprocessing.get_context("spawn")
        self._invocation = invocation
        self._limit = limit
        self._target = target or run_one
        self._processes: dict[int, SpawnProcess] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Stop what still runs, and wait for it."""
        self._signal(signal.SIGTERM)
        deadline = self.clock() + GRACE
        for process in self._processes.values():
            process.join(max(deadline - self.clock(), 0.0))
        self.kill()
        for process in self._processes.values():
            process.join()

    @property
    def jobs(self) -> frozenset[int]:
        """The jobs that are being run."""
        return frozenset(self._processes)

    @property
    def room(self) -> int:
        """How many more jobs may begin."""
        return self._limit - len(self._processes)

    def clock(self) -> float:
        """Seconds that only go forward."""
        return time.monotonic()

    def start(self, job_id: int) -> None:
        """Begin a job."""
        process = self._context.Process(
            target=self._target,
            args=(job_id, self._invocation.log_file),
            kwargs={"debug": self._invocation.debug},
        )
        process.start()
        self._processes[job_id] = process

    def wait(self, stop: Stop, seconds: float) -> Iterator[tuple[int, int]]:
        """Wait until a process ends, at most ``seconds``; the jobs and exit codes of those that have."""
        if not self._processes:
            stop.wait(seconds)
            return
        sentinels = {process.sentinel: job_id for job_id, process in self._processes.items()}
        deadline = self.clock() + seconds
        ended: list[Any] = []
        while not ended and stop.reason is None and self.clock() < deadline:
            ended = wait(list(sentinels), timeout=0.2)
        for sentinel in ended:
            job_id = sentinels[sentinel]
            process = self._processes.pop(job_id)
            process.join()
            yield job_id, process.exitcode or 0

    def kill(self) -> None:
        """End all processes at once; their jobs stay resumable."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        for process in list(self._processes.values()):
            if process.pid is not None and process.is_alive():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, number)


def run_one(job_id: int, log_file: Path | None, *, debug: bool) -> None:
    """Run one job in this process, which was made for it, and leave with the command line's exit code."""
    os.setsid()  # Ctrl-C is for packmule work, which then asks its processes once
    from cli.running import foreground
    from cli.wiring import Wiring

    if debug or log_file is not None:
        from cli.logging_setup import set_up_logging

        set_up_logging(log_file, debug=debug)
    try:
        with foreground(Wiring(), quiet=True) as here:
            here.run(job_id)
    except PackmuleError as exc:  # the job store has it; packmule work tells it
        sys.exit(exc.exit_code)
