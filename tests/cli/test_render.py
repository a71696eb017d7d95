"""The pure functions behind the tables; what commands print is tested beside each command."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cli.render import age, cleanup_json, destination, duration, removal_line
from cli.render_tables import timeline
from export_core.cleaner import Removal, RemovalKind
from export_core.job import ArchiveInfo, Job, JobRequest, JobStatus, PartStatus, RelationState, StrategyChoice
from export_core.removal import Result

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
JOB = Job(1, JobRequest("a/b", "embedded"), JobStatus.QUEUED, None, created_at="2026-01-01T12:00:00.000Z")


def at(seconds: float) -> str:
    return (T0 + timedelta(seconds=seconds)).isoformat()


def relation(start: float | None, end: float | None) -> RelationState:
    times = [None if moment is None else at(moment) for moment in (start, end)]
    return RelationState("issues", PartStatus.FINISHED, 1, 1, 1, 1, 0.0, *times)


def test_timeline_shows_what_ran_beside_what() -> None:
    bars = timeline([relation(0, 10), relation(0, 5), relation(5, 10), relation(9, 10)], 10)
    assert bars == ["━━━━━━━━━━", "━━━━━     ", "     ━━━━━", "         ━"]


def test_timeline_of_a_running_job_reaches_to_the_end_of_what_is_known() -> None:
    bars = timeline([relation(0, 5), relation(5, None), relation(10, None), relation(None, None)], 10)
    assert [bar.rstrip() for bar in bars] == ["━━━━━", "     ━━━━━", "          ━", ""]


def test_timeline_shows_even_the_shortest() -> None:
    assert [bar.count("━") for bar in timeline([relation(0, 1000), relation(500, 500)], 20)] == [20, 1]


@pytest.mark.parametrize("relations", [[], [relation(None, None)], [relation(3, 3)]])
def test_timeline_without_any_length(relations: list[RelationState]) -> None:
    assert len(timeline(relations, 10)) == len(relations)


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(seconds=5), "5 s"),
        (timedelta(minutes=12), "12 min"),
        (timedelta(minutes=119), "119 min"),
        (timedelta(hours=3), "3 h"),
        (timedelta(hours=47), "47 h"),
        (timedelta(days=9, hours=5), "9 d"),
        (timedelta(seconds=-3), "0 s"),
    ],
)
def test_age(span: timedelta, text: str) -> None:
    assert age(JOB, T0 + span) == text


def test_duration_ends_with_the_job_or_its_last_sign_of_life() -> None:
    now = T0 + timedelta(hours=5)
    started = replace(JOB, started_at=at(0), heartbeat_at=at(30))
    assert duration(JOB, now) == ""
    assert duration(replace(started, status=JobStatus.STARTED), now) == "5:00 h"
    assert duration(replace(started, status=JobStatus.INTERRUPTED), now) == "30 s"
    assert duration(replace(started, status=JobStatus.FINISHED, finished_at=at(42)), now) == "42 s"


def test_destination_is_where_it_is_then_where_it_is_to_go() -> None:
    asked = replace(
        JOB, request=JobRequest("a/b", "e", strategy=StrategyChoice("web-upload", "s3://b/{date}"))
    )
    assert destination(JOB) == "packmule's own store"
    assert destination(asked) == "s3://b/{date}"
    assert destination(replace(asked, archive=ArchiveInfo("/x", 1, "ab"))) == "/x"
    assert destination(replace(asked, delivery={"destination": "s3://b/2026"})) == "s3://b/2026"


def test_removals_in_words_and_in_json() -> None:
    gone = Result(Removal(RemovalKind.ARCHIVE, "/h/a.tar.gz", "older than 24h", (1, 2), 1500))
    kept = Result(Removal(RemovalKind.UPLOAD, "s3://b/k", "job 3 is cancelled", (3,)), "no such bucket")
    assert removal_line(gone) == "archive: /h/a.tar.gz (older than 24h, 1.5 KB)"
    assert removal_line(kept) == "upload: s3://b/k (job 3 is cancelled): NOT REMOVED: no such bucket"
    document = cleanup_json([gone, kept], dry_run=False)
    assert (document["bytes"], document["dry_run"]) == (1500, False)
    assert document["removals"][0] == {
        "kind": "archive",
        "target": "/h/a.tar.gz",
        "reason": "older than 24h",
        "jobs": [1, 2],
        "bytes": 1500,
        "removed": True,
        "error": None,
    }
    assert [removal["removed"] for removal in document["removals"]] == [True, False]
    assert not any(removal["removed"] for removal in cleanup_json([gone, kept], dry_run=True)["removals"])
