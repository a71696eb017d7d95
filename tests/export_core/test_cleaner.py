"""The rules of clean-up, one by one, on jobs made by hand; ``test_removal`` carries plans out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from export_core.cleaner import Facts, OnDisk, Policy, Removal, leftovers, plan_cleanup
from export_core.job import ArchiveInfo, Job, JobRequest, JobStatus, StrategyChoice

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MOMENT = timedelta(milliseconds=1)


def at(ago: timedelta) -> str:
    return (NOW - ago).isoformat().replace("+00:00", "Z")


def job(number: int, status: str, ago: timedelta, **more: Any) -> Job:
    """A job made ten days before its last sign of life, which was ``ago``."""
    project = more.pop("project", "group/project")
    request = JobRequest(project, "embedded", strategy=StrategyChoice("web-upload", "s3://b/k"))
    ended = at(ago) if status in {"finished", "failed", "cancelled"} else None
    times = {"created_at": at(ago + 10 * DAY), "heartbeat_at": at(ago), "finished_at": ended}
    return Job(id=number, request=request, status=JobStatus(status), phase=None, **times, **more)


def finished(number: int, ago: timedelta, path: str | None = None, **more: Any) -> Job:
    """A finished job whose archive lies in packmule's own store."""
    archive = ArchiveInfo(path or archive_of(number), 5, "ab")
    return job(number, "finished", ago, archive=archive, in_store=True, **more)


def archive_of(number: int) -> str:
    return f"/home/archives/{number}/a.tar.gz"


def facts(*, work: Sequence[int] = (), archives: Sequence[int] = (), uploads: Sequence[int] = ()) -> Facts:
    return Facts(
        work_directories=tuple(OnDisk(f"/home/jobs/{number}", number, 7) for number in work),
        archives=tuple(OnDisk(archive_of(number), number, 5) for number in archives),
        uploads=frozenset(uploads),
    )


def planned(
    jobs: Sequence[Job], found: Facts | None = None, /, **policy: Any
) -> list[tuple[str, str, tuple[int, ...]]]:
    removals = plan_cleanup(jobs, NOW, Policy(**policy), found or Facts())
    assert removals == plan_cleanup(jobs[::-1], NOW, Policy(**policy), found or Facts())
    return [(removal.kind.value, removal.target, removal.jobs) for removal in removals]


def row(number: int, project: str = "group/project") -> tuple[str, str, tuple[int, ...]]:
    return ("job", f"job {number} ({project})", (number,))


def archive(*jobs: int) -> tuple[str, str, tuple[int, ...]]:
    return ("archive", archive_of(jobs[0]), jobs)


def work(number: int, *jobs: int) -> tuple[str, str, tuple[int, ...]]:
    return ("work directory", f"/home/jobs/{number}", jobs)


def upload(number: int) -> tuple[str, str, tuple[int, ...]]:
    return ("upload", "s3://b/k", (number,))


def expired(number: int) -> tuple[str, str, tuple[int, ...]]:
    return ("expired job", f"job {number}", (number,))


class TestArchives:
    def test_go_a_day_after_the_end_of_their_job(self) -> None:
        jobs = [finished(1, DAY + MOMENT), finished(2, DAY)]
        assert planned(jobs, facts(archives=[1, 2])) == [archive(1)]

    def test_the_age_can_be_chosen(self) -> None:
        jobs = [finished(1, 3 * HOUR), finished(2, HOUR)]
        assert planned(jobs, archives=2 * HOUR) == [archive(1)]
        assert planned(jobs, archives=timedelta(0)) == [archive(1), archive(2)]

    def test_the_last_n_of_each_project_stay(self) -> None:
        jobs = [finished(n, (9 - n) * DAY / 2 + DAY, project=p) for n, p in enumerate("aabab", 1)]
        assert planned(jobs, keep_last=1) == [archive(1), archive(2), archive(3)]
        assert planned(jobs, keep_last=2) == [archive(1)]

    def test_young_ones_count_among_the_last(self) -> None:
        jobs = [finished(1, 3 * DAY), finished(2, 2 * DAY), finished(3, HOUR)]
        assert planned(jobs, keep_last=2) == [archive(1)]

    def test_a_reused_one_stays_until_the_last_job_that_refers_to_it_expires(self) -> None:
        old, reuse = finished(1, 3 * DAY), finished(2, HOUR, archive_of(1), reused_from=1)
        assert planned([old, reuse], facts(archives=[1])) == []
        assert planned([old, finished(2, 2 * DAY, archive_of(1))], facts(archives=[1])) == [archive(1, 2)]

    def test_outside_packmules_store_they_are_the_users(self) -> None:
        moved = job(1, "finished", 5 * DAY, archive=ArchiveInfo("/srv/a.tar.gz", 5, "ab"), in_store=False)
        assert planned([moved]) == []
        assert planned([moved], everything=True) == [row(1)]

    def test_without_a_job_they_go(self) -> None:
        lost = ("archive", archive_of(7), ())
        assert planned([], facts(archives=[7])) == [lost]
        assert planned([job(7, "failed", 2 * DAY)], facts(archives=[7])) == [lost]
        for status in ("queued", "started", "interrupted", "failed"):
            assert planned([job(7, status, HOUR)], facts(archives=[7])) == []

    def test_they_are_known_also_when_the_home_is_spelled_differently_now(self) -> None:
        job_before = finished(1, HOUR, "/link-to-home/archives/1/a.tar.gz")
        assert planned([job_before], facts(archives=[1])) == []

    def test_once_removed_they_are_not_removed_again(self) -> None:
        gone = job(1, "finished", 2 * DAY, in_store=True, archive_removed_at=at(HOUR))
        assert planned([gone]) == []


class TestRows:
    def test_go_a_week_after_the_end(self) -> None:
        ended = [
            job(n, status, 7 * DAY + MOMENT)
            for n, status in enumerate(("finished", "failed", "cancelled"), 1)
        ]
        assert planned(ended) == [row(1), row(2), row(3)]
        assert planned([job(1, "finished", 7 * DAY)]) == []
        assert planned(ended, jobs=8 * DAY) == []

    def test_stay_as_long_as_their_archive(self) -> None:
        assert planned([finished(1, 9 * DAY)], archives=30 * DAY) == []
        assert planned([finished(1, 9 * DAY)], keep_last=1, everything=True) == []
        assert planned([finished(1, 9 * DAY)]) == [archive(1), row(1)]


class TestUnfinished:
    def test_interrupted_ones_are_given_up_a_day_after_their_last_sign_of_life(self) -> None:
        found = facts(work=[1, 2], uploads=[1, 2])
        jobs = [job(1, "interrupted", DAY + MOMENT), job(2, "interrupted", DAY)]
        assert planned(jobs, found) == [expired(1), upload(1), work(1, 1)]
        assert planned(jobs, found, expire_unfinished=2 * DAY) == []

    def test_failed_ones_lose_what_they_have_on_disk_but_stay_in_the_list(self) -> None:
        found = facts(work=[1, 2], uploads=[1, 2])
        jobs = [job(1, "failed", 2 * DAY), job(2, "failed", HOUR)]
        assert planned(jobs, found) == [upload(1), work(1, 1)]

    def test_failed_ones_go_at_once_when_asked(self) -> None:
        found = facts(work=[1], uploads=[1])
        jobs = [job(1, "failed", HOUR), job(2, "interrupted", HOUR), job(3, "finished", HOUR)]
        assert planned(jobs, found, failed=True) == [upload(1), work(1, 1), row(1)]

    def test_living_ones_are_never_touched(self) -> None:
        jobs = [job(1, "started", 90 * DAY), job(2, "queued", 90 * DAY)]
        found = facts(work=[1, 2], uploads=[1, 2])
        assert planned(jobs, found, failed=True, everything=True, jobs=timedelta(0)) == []


class TestWorkDirectories:
    @pytest.mark.parametrize("status", ["finished", "cancelled"])
    def test_of_ended_jobs_go_at_once(self, status: str) -> None:
        assert planned([job(1, status, MOMENT)], facts(work=[1])) == [work(1, 1)]

    def test_without_a_job_they_go(self) -> None:
        leftover = OnDisk("/home/jobs/.removing-3-ab", None, 0)
        found = Facts(work_directories=(*facts(work=[9]).work_directories, leftover))
        assert planned([], found) == [work(9), ("work directory", leftover.path, ())]


def test_uploads_of_cancelled_jobs_go_and_those_of_finished_ones_stay() -> None:
    jobs = [job(1, "cancelled", MOMENT), job(2, "finished", MOMENT)]
    assert planned(jobs, facts(uploads=[1, 2])) == [upload(1)]


def test_everything_means_all_but_living_jobs() -> None:
    jobs = [finished(1, HOUR), job(2, "failed", HOUR), job(3, "interrupted", HOUR), job(4, "started", HOUR)]
    found = facts(work=[3, 4], archives=[1], uploads=[2])
    expected = [expired(3), upload(2), work(3, 3), archive(1), row(1), row(2), row(3)]
    assert planned(jobs, found, everything=True) == expected


def test_the_embedded_instance() -> None:
    unused = OnDisk("/home/embedded", None, 0)
    stop, remove = ("embedded server", "/home/embedded", ()), ("embedded instance", "/home/embedded", ())
    assert planned([], Facts(embedded=unused)) == []
    assert planned([], Facts(embedded=unused), everything=True) == []
    assert planned([], Facts(embedded=unused, embedded_runs=True)) == [stop]
    assert planned([], Facts(embedded=unused, embedded_runs=True), embedded=True) == [stop, remove]
    assert planned([], Facts(), embedded=True) == []


def test_leftovers_are_those_of_one_cancelled_job_only() -> None:
    found = facts(work=[1, 2], uploads=[1, 2])
    removals: list[Removal] = leftovers(job(1, "cancelled", MOMENT), found)
    assert [(r.kind.value, r.jobs) for r in removals] == [("upload", (1,)), ("work directory", (1,))]


def test_reasons_and_sizes_are_told() -> None:
    removals = plan_cleanup([finished(1, 9 * DAY)], NOW, Policy(), facts(archives=[1], work=[1]))
    assert [(r.reason, r.size) for r in removals] == [
        ("job 1 is finished", 7),
        ("older than 24h", 5),
        ("finished, older than 7d", 0),
    ]
