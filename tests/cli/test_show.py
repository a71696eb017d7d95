from __future__ import annotations

import os

import pytest

from tests.cli.conftest import CommandLine
from tests.cli.made_jobs import MadeJobs


@pytest.fixture
def made(packmule: CommandLine) -> MadeJobs:
    packmule.environment["COLUMNS"] = "200"
    return MadeJobs(packmule.home)


def test_json_tells_which_relation_came_from_which_snapshot(packmule: CommandLine, made: MadeJobs) -> None:
    document = packmule.run("show", str(made.mixed()), "--json").json
    first = {"taken_at": "2026-01-01T00:00:00.000Z", "relations": ["labels", "issues"]}
    second = {"taken_at": "2026-01-01T01:00:00.000Z", "relations": ["issues"]}
    assert document["snapshots"] == [
        {"number": 0, **first, "details": {"server": "18"}},
        {"number": 1, **second, "details": {}},
    ]
    assert (document["attempts"], document["owner"], document["reused_from"]) == (1, None, None)
    assert document["status"] == "finished"


def test_people_see_a_timeline_and_the_mixed_snapshots(packmule: CommandLine, made: MadeJobs) -> None:
    text = packmule.run("show", str(made.mixed())).stdout
    labels, issues = (
        next(row for row in text.splitlines() if row.startswith(name)) for name in ("labels", "issues")
    )
    assert labels.count("━") * 3 == pytest.approx(issues.count("━"), abs=2)
    assert labels.index("━") + labels.count("━") == pytest.approx(issues.index("━"), abs=1)
    assert "several snapshots" in text
    assert "the database has no column x" in text
    assert "ab" * 32 in text


def test_people_see_the_whole_error_and_what_to_do(packmule: CommandLine, made: MadeJobs) -> None:
    text = packmule.run("show", str(made.make("failed"))).stdout
    assert "RelationFailed: relation issues (part 3) failed:\nno table" in text
    assert "hint: packmule doctor" in text


def test_a_running_job_names_its_process(packmule: CommandLine, made: MadeJobs) -> None:
    job_id = made.make("started")
    assert f"process {os.getpid()}" in packmule.run("show", str(job_id)).stdout
    assert packmule.run("show", str(job_id), "--json").json["owner"]["pid"] == os.getpid()


def test_an_unknown_job_is_not_found(packmule: CommandLine) -> None:
    result = packmule.run("show", "12")
    assert (result.exit_code, result.stdout) == (4, "")
    assert "no job 12" in result.stderr


def test_what_is_not_a_number_is_wrong_usage(packmule: CommandLine) -> None:
    assert packmule.run("show", "latest").exit_code == 2
