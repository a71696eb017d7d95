"""The pure functions behind the tables; what commands print is tested beside each command."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from cli.render import age, cleanup_json, destination, duration, removal_line
from cli.render_fit import OneLine, printable, shortened
from cli.render_relations import RelationsTable, timeline
from cli.render_tables import job_view, jobs_table
from export_core.cleaner import Removal, RemovalKind
from export_core.job import (
    ArchiveInfo,
    ErrorInfo,
    Job,
    JobRequest,
    JobStatus,
    PartStatus,
    RelationState,
    StrategyChoice,
)
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


def drawn(item: object, width: int, encoding: str = "utf-8") -> list[str]:
    class File(io.StringIO):
        @property
        def encoding(self) -> str:  # type: ignore[override]
            return encoding

    file = File()
    Console(file=file, width=width, color_system=None).print(item, soft_wrap=True)
    return [line.rstrip() for line in file.getvalue().splitlines()]


@pytest.mark.parametrize("text", ["/very/long/path/to/an/archive.tar.gz", "長い名前" * 10, "e\u0301" * 40])
def test_a_shortened_text_fits_and_keeps_both_ends(text: str) -> None:
    for width in range(1, 40):
        short = shortened(text, width, "…")
        assert cell_len(short) <= width
        if 8 <= width < cell_len(text):
            head, tail = short.split("…")
            assert text.startswith(head)
            assert text.endswith(tail)
            assert cell_len(short) >= width - 2
    assert shortened(text, 1000, "…") == text
    assert shortened("an error message", 9, "…", keep_start=True) == "an error…"


def test_what_could_steer_a_terminal_is_shown_as_an_escape() -> None:
    assert printable("a\x1b[31m\n\udcff ü") == r"a\x1b[31m\n\udcff ü"
    assert drawn(OneLine("x" * 12), 9, "ascii") == ["xx...xxxx"]


def a_job(number: int, **more: Any) -> Job:
    asked = JobRequest("group/" + "sub/" * 8 + "project", "embedded", only=())
    archive = ArchiveInfo(f"/srv/{'deep/' * 30}{number}.tar.gz", 13_800_000, "ab" * 32)
    times = {"started_at": at(0), "finished_at": at(600)}
    job = replace(JOB, id=number, request=asked, status=JobStatus.FINISHED, archive=archive, **times)
    return replace(job, **more)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_every_job_is_one_line_that_fits(width: int) -> None:
    failed = a_job(7, status=JobStatus.FAILED, error=ErrorInfo("RelationFailed", "it is\nbroken " * 20))
    lines = drawn(jobs_table([a_job(123456), failed], T0), width)
    assert len(lines) == 3
    assert max(cell_len(line) for line in lines) <= width
    if width >= 80:
        assert re.search(
            r"123456 +\S+ s +10:00 min +13.8 MB +finished +grou\S*…\S+project +/srv/\S*…\S*gz$", lines[1]
        )
        assert "it is broken it" in lines[2]


NAMES = ("container_expiration_policy", "merge_requests", "issues", "labels")


def of_a_job(status: PartStatus = PartStatus.FINISHED) -> list[RelationState]:
    return [
        RelationState(name, status, 10 ** (2 * place), 5 * 10**place, 3, 3, 3.0, at(place), at(place + 1))
        for place, name in enumerate(NAMES)
    ]


@pytest.mark.parametrize("width", [30, 40, 60, 80, 120])
def test_the_relations_fit_and_their_numbers_are_whole(width: int) -> None:
    empty = RelationState("releases", PartStatus.FINISHED, 0, 4, 1, 1, 0.1, at(0), at(1))
    lines = drawn(RelationsTable([*of_a_job(), empty]), width)
    assert max(cell_len(line) for line in lines) <= width
    assert lines[-1] == "no records: releases"
    assert [line.split()[1] for line in lines[1:5]] == ["1", "100", "10,000", "1.0M"]
    assert (
        len(
            {line.index(number) + len(number) for line, number in zip(lines[1:5], ("1", "100"), strict=False)}
        )
        == 1
    )
    if width >= 60:
        assert "…" not in "".join(lines)
    assert ("━" in lines[1]) == (width >= 80)


def test_a_relation_that_is_not_finished_says_so_without_colour() -> None:
    failed = replace(of_a_job()[0], name="issues", status=PartStatus.FAILED, parts_finished=1)
    queued = replace(
        of_a_job()[1], status=PartStatus.QUEUED, lines=0, parts_finished=0, started_at=None, finished_at=None
    )
    heading, *rows = drawn(RelationsTable([failed, queued]), 80)
    assert heading.split()[:6] == ["relation", "lines", "bytes", "parts", "took", "state"]
    assert ("1/3" in rows[0], "failed" in rows[0], "0/3" in rows[1], "queued" in rows[1]) == (True,) * 4


def test_warnings_and_names_are_wrapped_between_words() -> None:
    empty = [
        RelationState(f"relation_{number}", PartStatus.FINISHED, 0, 0, 1, 1, 0.0) for number in range(30)
    ]
    job = a_job(5, relations=(*of_a_job(), *empty), warnings=("a long warning " * 20,))
    for width in (40, 80, 120):
        text = drawn(job_view(job, T0), width)
        wrapped = [line for line in text if "relation_" in line or "warning" in line]
        assert max(map(len, wrapped)) <= width
        assert all(f"relation_{number}" in " ".join(wrapped) for number in range(30))


def test_a_long_path_is_in_one_piece() -> None:
    job = a_job(5)
    assert job.archive is not None
    assert any(line.endswith(str(job.archive.path)) for line in drawn(job_view(job, T0), 80))


def test_bars_of_a_terminal_that_knows_only_ascii() -> None:
    text = "\n".join(drawn(RelationsTable(of_a_job()), 100, "ascii"))
    assert text.isascii()
    assert "====" in text
