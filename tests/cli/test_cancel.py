from __future__ import annotations

import os
import signal
import time

import pytest

from cli.commands import cancel as command
from export_core.job import JobStatus
from tests.cli.conftest import CommandLine
from tests.cli.made_jobs import MadeJobs


@pytest.fixture
def made(packmule: CommandLine) -> MadeJobs:
    return MadeJobs(packmule.home)


@pytest.mark.parametrize("status", ["queued", "failed", "interrupted", "cancelled"])
def test_a_job_that_nobody_runs_is_cancelled_at_once(
    packmule: CommandLine, made: MadeJobs, status: str
) -> None:
    job_id, other = made.make(status), made.make("interrupted")
    result = packmule.run("cancel", str(job_id))
    assert result.exit_code == 0
    assert "cancelled" in result.stderr
    assert made.store.get(job_id).status is JobStatus.CANCELLED
    assert [path.name for path in made.home.jobs.iterdir()] == [str(other)]


def test_a_finished_job_cannot_be_cancelled(packmule: CommandLine, made: MadeJobs) -> None:
    job_id = made.make("finished")
    result = packmule.run("cancel", str(job_id))
    assert result.exit_code == 3
    assert "finished" in result.stderr
    assert made.home.archive(job_id, "a.tar.gz").exists()


def test_an_unknown_job_is_not_found(packmule: CommandLine) -> None:
    assert packmule.run("cancel", "7").exit_code == 4


def test_a_running_export_stops_within_two_seconds_and_leaves_nothing(packmule: CommandLine) -> None:
    packmule.hang("issues.1")
    export = packmule.start(
        "export", "group/project", "--source", "fake", "--to", str(packmule.root / "out.tar.gz")
    )
    packmule.wait_for_read("issues.1")
    began = time.monotonic()
    result = packmule.run("cancel", "1")
    assert (result.exit_code, result.stderr) == (0, "job 1 is cancelled\n")
    assert time.monotonic() - began < 2.5
    _, messages = export.communicate(timeout=10)
    assert export.returncode == 3
    assert "cancelled" in messages
    assert packmule.store.get(1).status is JobStatus.CANCELLED
    assert list((packmule.home / "jobs").iterdir()) == []
    assert not (packmule.root / "out.tar.gz").exists()


def test_a_process_that_does_not_answer_is_told_and_stops_later(
    packmule: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    packmule.hang("issues.1")
    export = packmule.start("export", "group/project", "--source", "fake")
    packmule.wait_for_read("issues.1")
    export.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(command, "PATIENCE", 0.3)
    result = packmule.run("cancel", "1")
    assert result.exit_code == 3
    assert "was asked to stop" in result.stderr
    export.send_signal(signal.SIGCONT)
    export.communicate(timeout=10)
    assert packmule.store.get(1).status is JobStatus.CANCELLED


def test_a_process_that_dies_meanwhile_leaves_a_cancelled_job(
    packmule: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    packmule.hang("issues.1")
    export = packmule.start("export", "group/project", "--source", "fake")
    packmule.wait_for_read("issues.1")
    export.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(command, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(command.time, "sleep", lambda _seconds: os.kill(export.pid, signal.SIGKILL))
    assert packmule.run("cancel", "1").exit_code == 0
    assert packmule.store.get(1).status is JobStatus.CANCELLED
    assert list((packmule.home / "jobs").iterdir()) == []
