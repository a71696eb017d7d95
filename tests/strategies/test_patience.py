"""Waiting for a server, on a clock of the test's own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import stamina

from export_core.errors import Cancelled, DeliveryInterrupted, DestinationUnusable
from strategies.patience import Patience, retry_after
from tests.strategies.contract import raise_at
from tests.strategies.test_rate_limit import Clock

NOW = datetime(2024, 5, 1, 10, 0, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=4):
        yield


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        ("Wed, 01 May 2024 10:02:00 GMT", 120.0),
        ("Wed, 01 May 2024 09:00:00 GMT", 0.0),
        ("Wed, 01 May 2024 10:02:00 -0000", 120.0),
        ("soon", None),
        ("-5", None),
        (None, None),
    ],
)
def test_both_forms_of_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, now=NOW) == seconds


def test_a_wish_is_waited_for_once() -> None:
    clock = Clock()
    patience = Patience(lambda: None, clock=clock, sleep=clock.sleep)
    begun = []
    for attempt in patience.attempts():
        with attempt:
            begun.append(clock.now)
            if len(begun) == 1:
                patience.wish(90)
            if len(begun) < 3:
                raise DeliveryInterrupted("again")
    assert begun == pytest.approx([1000, 1090, 1090])


def exhaust(patience: Patience, error: Exception, wish: float | None = None) -> int:
    """Fail every attempt with the same error; how many there were, unless the last error gets out."""
    count = 0
    for attempt in patience.attempts():
        with attempt:
            count += 1
            patience.wish(wish)
            raise error
    return count


@pytest.mark.parametrize(
    ("error", "tries"), [(DestinationUnusable("no"), 1), (DeliveryInterrupted("again"), 4)]
)
def test_only_what_may_pass_is_tried_again(error: DestinationUnusable, tries: int) -> None:
    looks: list[int] = []
    with pytest.raises(type(error)):
        exhaust(Patience(lambda: looks.append(1)), error)
    assert len(looks) == tries


def test_cancelling_ends_a_long_wait() -> None:
    clock = Clock()
    patience = Patience(raise_at(10, Cancelled("cancelled")), clock=clock, sleep=clock.sleep)
    with pytest.raises(Cancelled):
        exhaust(patience, DeliveryInterrupted("again"), wish=3000)
    assert clock.now < 1010


def test_trying_again_says_nothing_on_the_screen() -> None:
    """In a process without logging set up, as packmule is without --debug."""
    code = """if True:
        import stamina
        from export_core.errors import DeliveryInterrupted
        from strategies.patience import Patience

        tried = []
        with stamina.set_testing(True, attempts=2):
            for attempt in Patience(lambda: None).attempts():
                with attempt:
                    tried.append(1)
                    if len(tried) < 2:
                        raise DeliveryInterrupted("again")
        print(len(tried))
    """
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (answer.stdout, answer.stderr) == ("2\n", "")
