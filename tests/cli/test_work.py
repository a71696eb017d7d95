"""``packmule work`` with real jobs of the fake source, each in its own process."""

from __future__ import annotations

import os
import signal
import sqlite3
import time

import psutil
import pytest

from export_core.job import JobStatus
from tests.cli.conftest import CommandLine
from tests.cli.made_jobs import MadeJobs


def queue(packmule: CommandLine, *projects: str) -> None:
    for project in projects:
        assert packmule.run("export", project, "--source", "fake", "--queue").exit_code == 0


def states(packmule: CommandLine) -> list[JobStatus]:
    """Of all jobs, oldest first."""
    return [job.status for job in reversed(packmule.store.list())]


def processes_of(pid: int) -> list[int]:
    """The processes that ``packmule work`` runs jobs in."""
    children = psutil.Process(pid).children(recursive=True)
    return [child.pid for child in children if "spawn_main" in " ".join(child.cmdline())]


def test_once_runs_all_queued_jobs_and_returns(packmule: CommandLine) -> None:
    queue(packmule, "group/one", "group/two", "group/three")
    result = packmule.call("work", "--once", "--parallel", "2")
    assert result.exit_code == 0, result.stderr
    assert states(packmule) == [JobStatus.FINISHED] * 3
    begun = [line.split(":")[0] for line in result.stderr.splitlines() if line.endswith("begins")]
    assert begun == ["job 1", "job 2", "job 3"]
    for job in packmule.store.list():
        assert job.archive is not None
        assert os.path.getsize(job.archive.path or "") == job.archive.size  # noqa: PTH202
        assert job.attempts == 1


def test_nothing_to_do_is_done_at_once(packmule: CommandLine) -> None:
    assert packmule.call("work", "--once").exit_code == 0


def test_an_interrupted_job_is_resumed(packmule: CommandLine) -> None:
    packmule.hang("issues.1")
    export = packmule.start("export", "group/project", "--source", "fake", "--workers", "1")
    packmule.wait_for_read("issues.1")
    export.kill()
    export.wait()
    packmule.free("issues.1")
    assert states(packmule) == [JobStatus.INTERRUPTED]
    assert packmule.call("work", "--once").exit_code == 0
    assert states(packmule) == [JobStatus.FINISHED]
    assert packmule.store.get(1).attempts == 2


def test_a_failed_job_waits_for_its_second_try_and_once_says_so(packmule: CommandLine) -> None:
    packmule.fail("issues.1")
    queue(packmule, "group/one", "group/two")
    result = packmule.call("work", "--once")
    assert result.exit_code == 3
    assert "as the test wanted; it is tried again after" in result.stderr
    assert states(packmule) == [JobStatus.FAILED] * 2
    assert [job.attempts for job in packmule.store.list()] == [1, 1]
    assert packmule.call("work", "--once").exit_code == 0
    end_all_waits(packmule)
    packmule.heal("issues.1")
    assert packmule.call("work", "--once").exit_code == 0
    assert states(packmule) == [JobStatus.FINISHED] * 2


def end_all_waits(packmule: CommandLine) -> None:
    """Set the store's times as if the next try of every failed job were due."""
    with sqlite3.connect(packmule.home / "packmule.db") as db:
        assert db.execute(
            "UPDATE jobs SET retry_at = '2026-01-01T00:00:00.000Z' WHERE retry_at > '2026'"
        ).rowcount


def test_several_works_run_each_job_once(packmule: CommandLine) -> None:
    queue(packmule, *(f"group/p{number}" for number in range(6)))
    works = [packmule.start("work", "--once", "--parallel", "2") for _ in range(3)]
    for work in works:
        _, messages = work.communicate(timeout=60)
        assert work.returncode == 0, messages
    packmule.call("work", "--once")
    assert states(packmule) == [JobStatus.FINISHED] * 6
    assert [job.attempts for job in packmule.store.list()] == [1] * 6


def test_sigterm_stops_all_jobs_and_leaves_them_resumable(packmule: CommandLine) -> None:
    packmule.hang("issues.1")
    queue(packmule, "group/one", "group/two")
    work = packmule.start("work")
    packmule.wait_for(lambda: packmule.reads().count("issues.1") == 2)
    children = processes_of(work.pid)
    assert len(children) == 2
    work.terminate()
    _, messages = work.communicate(timeout=20)
    assert work.returncode == 130, messages
    assert states(packmule) == [JobStatus.INTERRUPTED] * 2
    assert not [pid for pid in children if psutil.pid_exists(pid)]
    assert packmule.store.get(1).failures == 0


def test_a_killed_job_takes_no_other_with_it_and_counts_as_a_failure(packmule: CommandLine) -> None:
    packmule.hang("issues.1")
    queue(packmule, "group/one", "group/two")
    work = packmule.start("work", "--once")
    packmule.wait_for(lambda: packmule.reads().count("issues.1") == 2)
    owner = packmule.store.get(1).owner
    assert owner is not None
    os.kill(owner.pid, signal.SIGKILL)
    packmule.wait_for(lambda: packmule.store.get(1).status is JobStatus.FAILED)
    packmule.free("issues.1")
    _, messages = work.communicate(timeout=20)
    assert work.returncode == 3
    assert "killed by signal 9" in messages
    assert states(packmule) == [JobStatus.FAILED, JobStatus.FINISHED]


def test_a_work_that_stays_takes_what_is_queued_later(packmule: CommandLine) -> None:
    work = packmule.start("work")
    queue(packmule, "group/one")
    packmule.wait_for(lambda: states(packmule) == [JobStatus.FINISHED])
    assert work.poll() is None
    work.send_signal(signal.SIGINT)
    work.communicate(timeout=20)
    assert work.returncode == 130


def test_it_cleans_by_the_settings_of_config_toml(packmule: CommandLine) -> None:
    packmule.configure('[retention]\narchives = "1h"')
    made = MadeJobs(packmule.home)
    old, young = made.make("finished"), made.make("finished")
    made.store.close()
    hours_ago = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() - 7200))
    times = dict.fromkeys(("created_at", "started_at", "heartbeat_at", "finished_at"), hours_ago)
    with sqlite3.connect(made.home.store) as db:
        db.execute(
            f"UPDATE jobs SET {', '.join(f'{name} = :{name}' for name in times)} WHERE id = {old}", times
        )
    result = packmule.call("work", "--once")
    assert result.exit_code == 0
    assert f"archives/{old}/" in result.stderr
    assert [path.name for path in made.home.archives.iterdir()] == [str(young)]


@pytest.mark.parametrize("words", [("--parallel", "0"), ("--parallel", "many")])
def test_wrong_usage(packmule: CommandLine, words: tuple[str, str]) -> None:
    assert packmule.run("work", *words).exit_code == 2
