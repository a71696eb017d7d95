"""Worker threads that take the weightiest part first, of one job or of several that share them."""

from __future__ import annotations

import heapq
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ParamSpec, Self, TypeVar

from export_core.allocation import keep_freed_memory, spare_modules

P = ParamSpec("P")
T = TypeVar("T")

Turn = tuple[bool, int]
"""Place in the queue: the lowest first."""


@dataclass(order=True, slots=True)
class _Work:
    turn: Turn
    number: int
    future: Future[Any] = field(compare=False)
    call: Callable[[], Any] = field(compare=False)

    def do(self) -> None:
        if self.future.set_running_or_notify_cancel():
            try:
                result = self.call()
            except BaseException as exc:  # noqa: BLE001 -- whoever waits for the future gets it
                self.future.set_exception(exc)
            else:
                self.future.set_result(result)


class WorkerPool:
    """``count`` threads, while the context lasts."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._numbers = itertools.count()
        self._waiting: list[_Work] = []
        self._change = threading.Condition()
        self._closed = False
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Take nothing more; what waits is still done."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        for thread in self._threads:
            thread.join()

    def submit(self, turn: Turn, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have something done when nothing with a lower turn waits; equal turns as they were submitted.

        Raises RuntimeError after the context's end.
        """
        future: Future[T] = Future()
        with self._change:
            if self._closed:
                raise RuntimeError("the worker threads have ended")
            heapq.heappush(
                self._waiting, _Work(turn, next(self._numbers), future, partial(fn, *args, **kwargs))
            )
            if len(self._threads) < self.count:
                name = f"worker-{len(self._threads)}"
                self._threads.append(threading.Thread(target=self._run, name=name, daemon=True))
                self._threads[-1].start()
            self._change.notify()
        return future

    def _run(self) -> None:
        while (work := self._next()) is not None:
            work.do()
            del work  # else its results stay in memory until there is other work

    def _next(self) -> _Work | None:
        with self._change:
            while not self._waiting:
                if self._closed:
                    return None
                self._change.wait()
            return heapq.heappop(self._waiting)


@contextmanager
def worker_pool(workers: int | None) -> Iterator[WorkerPool]:
    """A pool of ``workers`` threads (None: one a usable processor)."""
    keep_freed_memory()
    spare_modules()
    with WorkerPool(workers or usable_processors()) as pool:
        yield pool


def usable_processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
