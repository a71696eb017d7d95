"""Durations, sizes and counts as people write and read them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from export_core.errors import UsageError
from export_core.quantities import (
    counted,
    exact_bytes,
    human_bytes,
    human_count,
    human_seconds,
    listed,
    parse_duration,
    short_duration,
)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("24h", 86400),
        ("7d", 604800),
        ("1d12h", 129600),
        ("0", 0),
        ("1.5h", 5400),
        ("100ms", 0.1),
        ("1m30s5ms", 90.005),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "soon", "24", "h", "24 hours", "-1h", "1h-", "1y"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError):
        parse_duration(text)


@pytest.mark.parametrize(
    ("span", "text"),
    [(DAY, "24h"), (2 * DAY, "2d"), (36 * HOUR, "36h"), (timedelta(minutes=90), "90m"), (timedelta(0), "0s")],
)
def test_short_durations_are_read_back(span: timedelta, text: str) -> None:
    assert short_duration(span) == text
    assert parse_duration(text) == span


def test_for_people() -> None:
    assert [human_bytes(n) for n in (0, 999, 1500, 99_600, 20e6, 999.9e9)] == [
        "0 B", "999 B", "1.5 KB", "100 KB", "20.0 MB", "1.0 TB",
    ]  # fmt: skip
    assert exact_bytes(1_610_612_736) == "1.6 GB (1,610,612,736 bytes)"
    assert [human_count(n) for n in (950, 20_000, 1_234_567)] == ["950", "20,000", "1.2M"]
    assert [human_seconds(n) for n in (0.84, 42.2, 185, 7800)] == ["0.8 s", "42 s", "3:05 min", "2:10 h"]


def test_counted() -> None:
    assert [counted(number, "line") for number in (0, 1, 2, 20_000)] == [
        "0 lines", "1 line", "2 lines", "20,000 lines",
    ]  # fmt: skip


def test_listed() -> None:
    assert [listed("abcde"[:n], 3) for n in (1, 3, 5)] == ["a", "a, b, c", "a, b, c and 2 more"]
