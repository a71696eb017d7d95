"""The heartbeat hears what other terminals ask, and takes a job's own end for no alarm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from export_core import heartbeat as module
from export_core.heartbeat import heartbeat
from export_core.job import Job, JobRequest
from export_core.ownership import current_owner
from export_core.stop import Stop, StopReason
from export_core.store import JobStore


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobStore]:
    monkeypatch.setattr(module, "INTERVAL", 0.01)
    made = JobStore(tmp_path / "packmule.db")
    yield made
    made.close()


@pytest.fixture
def job(store: JobStore) -> Job:
    return store.claim(store.create(JobRequest("a/b", "fake")).id, current_owner())


def test_it_beats(store: JobStore, job: Job) -> None:
    stop = Stop()
    with heartbeat(store, job.id, current_owner(), stop):
        while store.get(job.id).heartbeat_at == job.heartbeat_at:
            pass
    assert stop.reason is None


@pytest.mark.parametrize("asked", ["cancel", "restart"])
def test_it_hears_a_request(store: JobStore, job: Job, asked: str) -> None:
    stop = Stop()
    with heartbeat(store, job.id, current_owner(), stop):
        store.request(job.id, asked)
        assert stop.wait(10)
    assert stop.reason == asked


def test_a_job_that_was_taken_over_stops(store: JobStore, job: Job) -> None:
    stop = Stop()
    somebody_else = replace(current_owner(), pid=1, process_started=0.5)
    with heartbeat(store, job.id, somebody_else, stop):
        assert stop.wait(10)
    assert stop.reason is StopReason.RESTART


def test_the_end_of_the_job_is_no_alarm(store: JobStore, job: Job) -> None:
    """Else it would stop the next job of the same process."""
    stop = Stop()
    with heartbeat(store, job.id, current_owner(), stop):
        store.finish(job.id, current_owner(), None, {}, in_store=False)
        assert not stop.wait(0.2)
    assert stop.reason is None


def test_a_job_that_was_deleted_is_no_alarm(store: JobStore, job: Job) -> None:
    stop = Stop()
    with heartbeat(store, job.id, current_owner(), stop):
        store.finish(job.id, current_owner(), None, {}, in_store=False)
        store.delete(job.id)
        assert not stop.wait(0.2)
