"""The rate: its words, and a token bucket on a clock of the test's own."""

from __future__ import annotations

import threading
import time

import pytest

from export_core.errors import Cancelled, UsageError
from strategies.rate_limit import RateLimit, parse_rate
from tests.strategies.contract import raise_at


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.longest = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.longest = max(self.longest, seconds)
        self.now += seconds


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("1", 1),
        ("500K", 512_000),
        ("20M", 20_971_520),
        ("1.5G", 1_610_612_736),
        ("20MB/s", 20_971_520),
        ("2 MiB", 2 << 20),
        ("10m", 10 << 20),
    ],
)
def test_rates(text: str, rate: int) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "fast", "-1M", "0", "0.1", "1T", "M", "1e6", "20M20"])
def test_what_is_no_rate_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError):
        parse_rate(text)


def test_bytes_take_their_time() -> None:
    clock = Clock()
    limit = RateLimit(1000, clock=clock, sleep=clock.sleep)
    for _ in range(10):
        limit.take(500)
    assert clock.now == pytest.approx(1005.0)


def test_idle_time_is_not_saved_up() -> None:
    clock = Clock()
    limit = RateLimit(1000, clock=clock, sleep=clock.sleep)
    clock.now += 3600
    limit.take(5000)
    assert clock.now == pytest.approx(1000 + 3600 + 5)


def test_without_a_rate_nothing_waits() -> None:
    clock = Clock()
    RateLimit(None, clock=clock, sleep=clock.sleep).take(1 << 50)
    assert clock.now == 1000.0


def test_a_long_wait_is_ended_by_cancelling() -> None:
    clock = Clock()
    limit = RateLimit(1, clock=clock, sleep=clock.sleep)
    with pytest.raises(Cancelled):
        limit.take(1 << 30, raise_at(3, Cancelled("cancelled")))
    assert clock.now < 1001
    assert clock.longest <= 0.2


def test_threads_share_the_rate() -> None:
    """Four threads together are no faster than one: 4 times 50 bytes at 1000 a second take 0.2 s."""
    limit = RateLimit(1000)
    began = time.monotonic()
    threads = [threading.Thread(target=limit.take, args=(50,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began >= 0.2
