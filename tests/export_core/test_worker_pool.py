"""The order in which worker threads take what several jobs give them."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from export_core.worker_pool import WorkerPool


@pytest.fixture
def busy() -> Iterator[tuple[WorkerPool, threading.Event]]:
    """A pool whose one thread waits for the event."""
    go_on = threading.Event()
    with WorkerPool(1) as pool:
        pool.submit((False, 0), go_on.wait, 10)
        yield pool, go_on
        go_on.set()


def test_the_heaviest_of_all_jobs_goes_first(busy: tuple[WorkerPool, threading.Event]) -> None:
    pool, go_on = busy
    done: list[str] = []
    for name, turn in (("a1", (True, -50)), ("a2", (True, -10)), ("b1", (True, -30)), ("b2", (False, -1))):
        pool.submit(turn, done.append, name)
    last = pool.submit((True, 0), done.append, "last")
    go_on.set()
    last.result(10)
    assert done == ["b2", "a1", "b1", "a2", "last"]


def test_what_fails_fails_its_own_future_alone(busy: tuple[WorkerPool, threading.Event]) -> None:
    pool, go_on = busy
    failing, fine = pool.submit((True, 0), int, "x"), pool.submit((True, 0), int, "7")
    go_on.set()
    with pytest.raises(ValueError, match="invalid literal"):
        failing.result(10)
    assert fine.result(10) == 7


def test_what_was_cancelled_is_not_done(busy: tuple[WorkerPool, threading.Event]) -> None:
    pool, go_on = busy
    done: list[int] = []
    unwanted, wanted = (pool.submit((True, 0), done.append, number) for number in (1, 2))
    assert unwanted.cancel()
    go_on.set()
    wanted.result(10)
    assert done == [2]


def test_as_many_threads_as_asked_for() -> None:
    together = threading.Barrier(3)
    with WorkerPool(3) as pool:
        places = [pool.submit((True, 0), together.wait, 10) for _ in range(3)]
        assert sorted(place.result(10) for place in places) == [0, 1, 2]


def test_a_pool_ends_its_work_and_then_takes_no_more() -> None:
    done: list[int] = []
    with WorkerPool(1) as pool:
        for number in range(5):
            pool.submit((True, 0), done.append, number)
    assert done == [0, 1, 2, 3, 4]
    with pytest.raises(RuntimeError, match="have ended"):
        pool.submit((True, 0), done.append, 5)
