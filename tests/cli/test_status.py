from __future__ import annotations

import pytest

from tests.cli.conftest import CommandLine
from tests.cli.made_jobs import MadeJobs


@pytest.fixture
def made(packmule: CommandLine) -> MadeJobs:
    return MadeJobs(packmule.home)


def test_a_project_that_was_never_exported_is_none(packmule: CommandLine) -> None:
    result = packmule.run("status", "group/never", "--json")
    assert result.exit_code == 0
    assert result.json == {"project": "group/never", "status": "none", "job": None, "archive": None}
    assert packmule.run("status", "group/never").stdout == "group/never: none\n"


def test_the_previous_archive_stays_while_a_new_one_is_made(packmule: CommandLine, made: MadeJobs) -> None:
    first = made.make("finished")
    archive = {"path": str(made.home.archive(first, "a.tar.gz")), "size": 1500, "sha256": "ab" * 32}
    found = packmule.run("status", "group/project", "--json").json
    assert found == {"project": "group/project", "status": "finished", "job": first, "archive": archive}
    second = made.make("started")
    found = packmule.run("status", " /group/project/", "--json").json
    assert found["project"] == "group/project"
    assert found["status"] == "regeneration_in_progress"
    assert (found["job"], found["archive"]) == (second, archive)


def test_a_failure_is_told_with_its_error(packmule: CommandLine, made: MadeJobs) -> None:
    made.make("failed")
    assert packmule.run("status", "group/project", "--json").json["status"] == "failed"
    text = packmule.run("status", "group/project").stdout
    assert "group/project: failed" in text
    assert "relation issues (part 3) failed: no table" in text


def test_an_interrupted_one_says_how_to_go_on(packmule: CommandLine, made: MadeJobs) -> None:
    job_id = made.make("interrupted")
    text = packmule.run("status", "group/project").stdout
    assert "group/project: started" in text
    assert f"packmule resume {job_id}" in text


def test_after_the_archive_was_cleaned_nothing_is_left(packmule: CommandLine, made: MadeJobs) -> None:
    made.make("finished")
    assert packmule.run("clean", "--older-than", "0", "--yes").exit_code == 0
    assert packmule.run("status", "group/project", "--json").json["status"] == "none"


def test_only_this_project_and_source_count(packmule: CommandLine, made: MadeJobs) -> None:
    made.make("finished", project="group/project2")
    assert packmule.run("status", "group/project", "--json").json["status"] == "none"
    assert packmule.run("status", "group/project2", "--source", "other", "--json").json["status"] == "none"
    assert packmule.run("status", "group/project2", "--source", "fake", "--json").json["status"] == "finished"
