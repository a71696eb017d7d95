from __future__ import annotations

from typing import Any

import pytest

from tests.cli.conftest import CommandLine
from tests.cli.made_jobs import SECRET, MadeJobs

STATES = ("queued", "started", "finished", "failed", "cancelled", "interrupted")


@pytest.fixture
def made(packmule: CommandLine) -> MadeJobs:
    return MadeJobs(packmule.home)


def test_json_is_one_array_newest_first_with_exactly_the_keys_of_the_contract(
    packmule: CommandLine, made: MadeJobs
) -> None:
    for status in STATES:
        made.make(status)
    result = packmule.run("list", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert [job["id"] for job in result.json] == [6, 5, 4, 3, 2, 1]
    assert [job["status"] for job in result.json] == list(STATES[::-1])
    for job in result.json:
        assert set(job) == {
            "id", "project", "source", "status", "phase", "strategy", "created_at", "started_at",
            "finished_at", "archive", "relations", "warnings", "error",
        }  # fmt: skip
        assert set(job["strategy"]) == {"name", "destination"}


def done(name: str, *, seconds: float, **numbers: int) -> dict[str, Any]:
    return {"name": name, "status": "finished", **numbers, "seconds": pytest.approx(seconds, abs=0.5)}


def test_json_of_a_finished_job(packmule: CommandLine, made: MadeJobs) -> None:
    job_id = made.mixed()
    (job,) = packmule.run("list", "--json").json
    path = str(made.home.archive(job_id, "a.tar.gz"))
    assert job["archive"] == {"path": path, "size": 1500, "sha256": "ab" * 32}
    assert job["relations"] == [
        done("labels", lines=1000, bytes=5000, parts=1, seconds=10),
        done("issues", lines=2000, bytes=10000, parts=2, seconds=30),
        done("avatar", lines=0, bytes=0, parts=0, seconds=0),
    ]
    assert (job["project"], job["source"], job["phase"], job["error"]) == (
        "group/project",
        "fake",
        None,
        None,
    )
    assert job["warnings"] == ["the database has no column x"]


def test_json_of_a_failed_job(packmule: CommandLine, made: MadeJobs) -> None:
    made.make("failed")
    (job,) = packmule.run("list", "--json").json
    assert job["archive"] is None
    assert job["error"] == {
        "kind": "RelationFailed",
        "message": "relation issues (part 3) failed:\nno table",
        "hint": "packmule doctor",
    }


def test_filters(packmule: CommandLine, made: MadeJobs) -> None:
    for status in STATES:
        made.make(status, project=f"group/{status}")
    for status in STATES:
        assert [job["status"] for job in packmule.run("list", "--json", "--status", status).json] == [status]
    assert [job["id"] for job in packmule.run("list", "--json", "--project", "group/failed").json] == [4]
    assert packmule.run("list", "--json", "--project", "group/fail").json == []


def test_an_unknown_state_is_wrong_usage(packmule: CommandLine) -> None:
    result = packmule.run("list", "--status", "done")
    assert result.exit_code == 2
    assert "interrupted" in result.stderr


def test_people_see_state_age_size_and_the_error_in_one_line(packmule: CommandLine, made: MadeJobs) -> None:
    made.make("finished", to=str(packmule.root / "out.tar.gz"))
    made.make("failed", project="group/[red]markup")
    packmule.environment["COLUMNS"] = "200"
    failed, finished = packmule.run("list").stdout.splitlines()[1:]
    assert "relation issues (part 3) failed: no table" in failed
    assert "group/[red]markup" in failed
    assert all(
        words in finished for words in ("finished", "1.5 KB", "0 s", str(packmule.root / "out.tar.gz"))
    )


def test_nothing_yet(packmule: CommandLine) -> None:
    assert "no jobs" in packmule.run("list").stdout
    assert packmule.run("list", "--json").json == []


@pytest.mark.parametrize("words", [("list",), ("list", "--json"), ("show", "1"), ("show", "1", "--json")])
@pytest.mark.parametrize("status", ["finished", "failed", "started"])
def test_secrets_are_never_shown(
    packmule: CommandLine, made: MadeJobs, words: tuple[str, ...], status: str
) -> None:
    made.make(status)
    result = packmule.run(*words)
    assert result.exit_code == 0
    assert SECRET not in result.stdout + result.stderr
