"""``packmule resume``: goes on where it was stopped, and does nothing twice."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from export_core.job import JobStatus
from tests.cli.conftest import CommandLine
from tests.cli.test_export import members
from tests.fake_source import FakeSource


def test_a_failed_export_goes_on(packmule: CommandLine) -> None:
    packmule.fail("merge_requests.3")
    target = packmule.root / "out.tar.gz"
    words = ("export", "a/b", "--source", "fake", "--to", str(target), "--workers", "1")
    assert packmule.run(*words).exit_code == 3
    done = {f"{relation}.{number}" for relation, number in packmule.store.finished_parts(1)}
    assert len(done) >= 7
    packmule.heal("merge_requests.3")
    before = len(packmule.reads())
    result = packmule.run("resume", "--json")
    assert (result.exit_code, result.json["id"], result.json["status"]) == (0, 1, "finished")
    assert result.json["error"] is None
    assert not done & set(packmule.reads()[before:])
    assert members(target) == FakeSource().expected()


@pytest.mark.parametrize("place", ["issues.0", "merge_requests.3"])
def test_a_killed_export_goes_on(packmule: CommandLine, place: str) -> None:
    packmule.hang(place)
    target = packmule.root / "out.tar.gz"
    process = packmule.start("export", "a/b", "--source", "fake", "--to", str(target))
    packmule.wait_for_read(place)
    process.send_signal(signal.SIGKILL)
    process.wait()
    packmule.free(place)
    result = packmule.run("resume")
    assert (result.exit_code, result.stdout) == (0, f"{target}\n")
    assert members(target) == FakeSource().expected()


def test_restart_keeps_nothing(packmule: CommandLine) -> None:
    packmule.fail("merge_requests.3")
    assert packmule.run("export", "a/b", "--source", "fake", "--workers", "1").exit_code == 3
    packmule.heal("merge_requests.3")
    before = len(packmule.reads())
    assert packmule.run("resume", "1", "--restart").exit_code == 0
    assert {f"issues.{number}" for number in range(4)} <= set(packmule.reads()[before:])


def test_a_finished_job_says_so(packmule: CommandLine) -> None:
    archive = packmule.run("export", "a/b", "--source", "fake").stdout
    result = packmule.run("resume", "1")
    assert (result.exit_code, result.stdout) == (0, archive)
    assert "finished already" in result.stderr
    assert packmule.run("resume", "1", "--json").json["status"] == "finished"


def test_the_latest_is_the_default(packmule: CommandLine) -> None:
    packmule.fail("issues.0")
    for project in ("a/one", "a/two"):
        assert packmule.run("export", project, "--source", "fake").exit_code == 3
    packmule.heal("issues.0")
    assert packmule.run("resume", "--json").json["project"] == "a/two"
    assert packmule.run("resume", "--json").json["project"] == "a/one"
    assert packmule.run("resume").exit_code == 4


def test_all(packmule: CommandLine) -> None:
    assert packmule.run("resume", "--all").exit_code == 0
    assert packmule.run("resume", "--all", "--json").json == []
    packmule.fail("issues.0")
    for project in ("a/one", "a/two"):
        assert packmule.run("export", project, "--source", "fake").exit_code == 3
    assert packmule.run("resume", "--all").exit_code == 3
    packmule.heal("issues.0")
    result = packmule.run("resume", "--all", "--json")
    assert [(job["project"], job["status"]) for job in result.json] == [
        ("a/one", "finished"),
        ("a/two", "finished"),
    ]


def test_a_job_that_another_process_runs(packmule: CommandLine) -> None:
    packmule.hang("issues.0")
    process = packmule.start("export", "a/b", "--source", "fake")
    packmule.wait_for_read("issues.0")
    result = packmule.run("resume", "1")
    assert result.exit_code == 3
    assert str(process.pid) in result.stderr
    packmule.free("issues.0")
    assert process.wait(30) == 0


@pytest.mark.parametrize("words", [["77"], []], ids=["unknown", "none"])
def test_no_such_job(packmule: CommandLine, words: list[str]) -> None:
    assert packmule.run("resume", *words).exit_code == 4


def test_a_job_and_all_exclude_each_other(packmule: CommandLine) -> None:
    assert packmule.run("resume", "1", "--all").exit_code == 2


def test_a_queued_job_can_be_run_by_hand(packmule: CommandLine) -> None:
    packmule.run("export", "a/b", "--source", "fake", "--queue")
    result = packmule.run("resume", "1")
    assert result.exit_code == 0
    assert Path(result.stdout.strip()).exists()
    assert packmule.store.get(1).status is JobStatus.FINISHED


def test_a_failing_resume_with_json_prints_the_job(packmule: CommandLine) -> None:
    packmule.fail("issues.0")
    packmule.run("export", "a/b", "--source", "fake")
    result = packmule.run("resume", "--json")
    assert (result.exit_code, result.json["status"], result.json["error"]["kind"]) == (
        3,
        "failed",
        "RelationFailed",
    )
