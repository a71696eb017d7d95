"""Many processes and threads on one job store, for real."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from export_core.errors import JobConflict
from export_core.job import ArchiveInfo, JobRequest, JobStatus, SnapshotInfo
from export_core.ownership import current_owner
from export_core.source import Part, Plan
from export_core.store import JobStore

PROCESSES = 20
JOBS_EACH = 4
PARTS = 6
FORK = multiprocessing.get_context("fork")


def together(work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Run ``work`` in many processes that begin at the same moment; what they returned."""
    barrier, answers = FORK.Barrier(PROCESSES), FORK.SimpleQueue()
    processes = [
        FORK.Process(target=_child, args=(barrier, answers, work, arguments)) for _ in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    results = [answers.get() for _ in processes]
    for process in processes:
        process.join()
    return results


def _child(barrier: Any, answers: Any, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    barrier.wait()
    try:
        answers.put(work(*arguments))
    except BaseException as exc:  # noqa: BLE001 -- whatever it was, the parent must not wait for ever
        answers.put(f"{type(exc).__name__}: {exc}")


def _race(path: Path, job_id: int) -> str:
    try:
        JobStore(path).claim(job_id, current_owner())
    except JobConflict as exc:
        return exc.message
    threading.Event().wait(1.0)  # stay alive: a dead winner's job may be claimed by the next
    return "won"


def _export(path: Path) -> str:
    """What an export, a list and a clean-up do to the store, some times over."""
    store, owner = JobStore(path), current_owner()
    for _ in range(JOBS_EACH):
        job = store.create(JobRequest(f"group/{owner.pid}", "embedded"))
        store.claim(job.id, owner)
        parts = tuple(Part("issues", number, "issues.ndjson", {"n": number}) for number in range(PARTS))
        store.save_plan(job.id, Plan(parts, relations=("issues",)), SnapshotInfo(0, "t", "2026"))
        threads = [
            threading.Thread(target=_do_parts, args=(store, job.id, range(first, PARTS, 2)))
            for first in (0, 1)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        store.heartbeat(job.id, owner)
        assert len(store.finished_parts(job.id)) == PARTS
        store.finish(job.id, owner, ArchiveInfo(None, 1, "ab"), {}, in_store=False)
        store.list()
    doomed = store.create(JobRequest("group/doomed", "embedded"))
    store.cancel(doomed.id)
    store.delete(doomed.id)
    store.close()
    return "done"


def _do_parts(store: JobStore, job_id: int, numbers: range) -> None:
    for number in numbers:
        store.start_part(job_id, "issues", number, 0)
        store.finish_part(job_id, "issues", number, {}, snapshot_number=0, seconds=0.1, lines=1, bytes=2)


@pytest.mark.parametrize("before", ["queued", "interrupted"])
def test_exactly_one_of_many_processes_claims_a_job(tmp_path: Path, before: str) -> None:
    store = JobStore(tmp_path / "packmule.db")
    job = store.create(JobRequest("group/project", "embedded"))
    if before == "interrupted":
        store.claim(job.id, current_owner())
        store.release(job.id, current_owner())
    store.close()
    answers = together(_race, tmp_path / "packmule.db", job.id)
    assert answers.count("won") == 1
    assert all("is being run by process" in answer for answer in answers if answer != "won")


def test_many_processes_make_and_fill_one_store(tmp_path: Path) -> None:
    """They also create it: it does not exist before."""
    path = tmp_path / "packmule.db"
    assert together(_export, path) == ["done"] * PROCESSES
    jobs = JobStore(path).list()
    assert len(jobs) == PROCESSES * JOBS_EACH
    assert {job.status for job in jobs} == {JobStatus.FINISHED}
    assert {(job.relations[0].lines, job.relations[0].bytes) for job in jobs} == {(PARTS, 2 * PARTS)}
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert {row[0] for row in db.execute("SELECT times_finished FROM parts")} == {1}
