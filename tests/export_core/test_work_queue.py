from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from export_core.errors import JobConflict
from export_core.job import MISSING, ErrorInfo, JobRequest, JobStatus
from export_core.ownership import current_owner
from export_core.store import JobStore
from export_core.work_queue import WorkQueue

ME = current_owner()
T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)


class World:
    """A store, a queue, and the clock of both."""

    def __init__(self, path: Path) -> None:
        self.now = T0
        self.store = JobStore(path, clock=lambda: self.now)
        self.queue = WorkQueue(self.store, clock=lambda: self.now)

    def job(self) -> int:
        return self.store.create(JobRequest("group/project", "embedded")).id

    def due(self, room: int = 9, running: set[int] | None = None) -> list[int]:
        return [job.id for job in self.queue.due(room, running or set())]

    def fail(self, job_id: int, kind: str = "RelationFailed") -> str:
        """What the process of a job does that fails."""
        self.store.claim(job_id, ME)
        self.store.fail(job_id, ME, ErrorInfo(kind, "no table"))
        return self.queue.ended(job_id, 3)

    def finish(self, job_id: int) -> str:
        self.store.claim(job_id, ME)
        self.store.finish(job_id, ME, None, {}, in_store=False)
        return self.queue.ended(job_id, 0)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "packmule.db")


def test_queued_and_interrupted_jobs_are_due_oldest_first_and_no_others(world: World) -> None:
    interrupted, queued, cancelled, failed, running, finished = (world.job() for _ in range(6))
    for job_id in (interrupted, failed, running, finished):
        world.store.claim(job_id, ME)
    world.store.release(interrupted, ME)
    world.store.fail(failed, ME, ErrorInfo("X", "by hand"))
    world.store.finish(finished, ME, None, {}, in_store=False)
    world.store.cancel(cancelled)
    assert world.due() == [interrupted, queued]


def test_there_is_never_more_than_there_is_room_for(world: World) -> None:
    jobs = [world.job() for _ in range(4)]
    assert world.due(room=0) == []
    assert world.due(room=2) == jobs[:2]
    assert world.due(room=1, running=set(jobs[:2])) == jobs[2:3]


def test_each_job_is_begun_once_even_if_its_process_could_not_take_it(world: World) -> None:
    world.job()
    assert world.due() == [1]
    world.queue.ended(1, 3)
    assert world.due() == []
    assert WorkQueue(world.store, lambda: T0).due(1, set())[0].id == 1


def test_a_failed_job_has_three_tries_with_growing_waits(world: World) -> None:
    job_id = world.job()
    assert world.due() == [job_id]
    assert "12:01:00" in world.fail(job_id)
    world.now += timedelta(seconds=59)
    assert world.due() == []
    world.now += timedelta(seconds=1)
    assert world.due() == [job_id]
    assert "12:06:00" in world.fail(job_id)
    world.now += timedelta(seconds=299)
    assert world.due() == []
    world.now += timedelta(seconds=1)
    assert world.due() == [job_id]
    assert "not tried again" in world.fail(job_id)
    world.now += timedelta(days=1)
    assert world.due() == []
    assert world.queue.failed == {job_id}


def test_waiting_and_tries_outlast_the_process(world: World) -> None:
    job_id = world.job()
    world.fail(job_id)
    later = WorkQueue(world.store, clock=lambda: T0 + timedelta(seconds=61))
    assert [job.id for job in later.due(1, set())] == [job_id]


def test_a_retry_that_ends_well_is_no_failure(world: World) -> None:
    job_id = world.job()
    world.fail(job_id)
    assert world.finish(job_id) == f"job {job_id}: group/project is finished"
    assert world.queue.failed == set()


def test_an_incomplete_archive_counts_as_a_failure_but_is_not_made_again(world: World) -> None:
    job_id = world.job()
    world.store.add_warning(job_id, f"{MISSING}uploads: a file")
    assert "incomplete" in world.finish(job_id)
    assert world.queue.failed == {job_id}
    assert world.due() == []


@pytest.mark.parametrize("kind", ["UsageError", "NotFound"])
def test_what_another_try_cannot_mend_is_not_tried_again(world: World, kind: str) -> None:
    assert "not tried again" in world.fail(world.job(), kind)


@pytest.mark.parametrize(("exit_code", "words"), [(-9, "signal 9"), (1, "exit code 1")])
def test_a_process_that_dies_of_its_job_has_failed_and_keeps_its_parts(
    world: World, exit_code: int, words: str
) -> None:
    job_id = world.job()
    world.store.claim(job_id, ME)
    world.store.release(job_id, ME)
    assert words in world.queue.ended(job_id, exit_code)
    job = world.store.get(job_id)
    assert (job.status, job.failures, job.error and job.error.kind) == (JobStatus.FAILED, 1, "Crashed")
    assert job.retry_at == "2026-01-01T12:01:00.000Z"


def test_a_process_that_was_asked_to_stop_leaves_an_interrupted_job(world: World) -> None:
    job_id = world.job()
    world.store.claim(job_id, ME)
    world.store.release(job_id, ME)
    assert "interrupted" in world.queue.ended(job_id, 130)
    assert world.store.get(job_id).failures == 0


def test_a_job_that_is_gone_is_no_fault(world: World) -> None:
    assert "gone" in world.queue.ended(12, 4)


def test_a_job_that_somebody_else_runs_meanwhile_is_left_alone(world: World) -> None:
    job_id = world.job()
    world.store.claim(job_id, ME)
    assert "started" in world.queue.ended(job_id, -9)
    with pytest.raises(JobConflict):
        world.store.crash(job_id, ErrorInfo("Crashed", "x"))
