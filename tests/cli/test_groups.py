"""``packmule export --group`` and ``--all``: a job for each project, in this process, all resumable."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from cli.destinations import destinations
from export_core.errors import DestinationUnusable, UsageError
from tests.cli.conftest import CommandLine
from tests.cli.test_export import members
from tests.export_core.sources.gitlab_db_files.conftest import world  # noqa: F401
from tests.export_core.sources.gitlab_db_files.world import World, make_repository
from tests.fake_source import FakeSource

PROJECTS = ("group/one", "group/sub/two")


class TestDestinations:
    """One ``--to`` for all."""

    def test_a_directory_gets_folders_as_the_groups_are(self, tmp_path: Path) -> None:
        found = destinations(str(tmp_path), PROJECTS)
        assert found == [f"{tmp_path}/group/one.tar.gz", f"{tmp_path}/group/sub/two.tar.gz"]
        assert (tmp_path / "group" / "sub").stat().st_mode & 0o777 == 0o700

    def test_a_template(self, tmp_path: Path) -> None:
        assert destinations(f"{tmp_path}/x-{{project}}-y.tgz", ("a",)) == [f"{tmp_path}/x-a-y.tgz"]

    @pytest.mark.parametrize("to", ["s3://b", "s3://b/folder/", "s3://b/{job}", "s3://b/{project}.tar.gz"])
    def test_s3_knows_its_own(self, to: str) -> None:
        assert destinations(to, PROJECTS) == [to, to]

    def test_urls(self) -> None:
        assert destinations("https://h/{project}?k=1", ("a/b ü",)) == ["https://h/a/b%20%C3%BC?k=1"]
        assert destinations("embedded:copy/{project}", PROJECTS) == [f"embedded:copy/{p}" for p in PROJECTS]
        assert destinations(None, PROJECTS) == [None, None]

    @pytest.mark.parametrize(
        "to", ["x.tar.gz", "x-{job}.tar.gz", "s3://b/key", "https://h/x", "embedded:a/b"]
    )
    def test_the_same_place_for_all_is_refused(self, to: str) -> None:
        with pytest.raises(UsageError):
            destinations(to, PROJECTS)

    def test_a_directory_that_is_not_there(self, tmp_path: Path) -> None:
        for to in (f"{tmp_path}/typo/", f"{tmp_path}/typo/{{project}}.tar.gz"):
            with pytest.raises(DestinationUnusable):
                destinations(to, PROJECTS)
        assert list(tmp_path.iterdir()) == []

    def test_a_path_that_leads_out(self, tmp_path: Path) -> None:
        for project in ("../x", "a/../../x", "/etc/x"):
            with pytest.raises(UsageError):
                destinations(str(tmp_path), (project,))


def test_into_a_directory(packmule: CommandLine) -> None:
    target = packmule.root / "archives"
    target.mkdir()
    result = packmule.run("export", "--all", "--source", "fake", "--to", str(target))
    assert result.exit_code == 0
    archives = {path.relative_to(target).as_posix() for path in target.rglob("*.tar.gz")}
    assert archives == {"group/one.tar.gz", "group/two.tar.gz", "other/three.tar.gz"}
    assert members(target / "group" / "one.tar.gz") == FakeSource().expected()
    assert sorted(result.stdout.split()) == sorted(str(target / name) for name in archives)


def test_the_closing_table_in_a_file_is_not_folded(packmule: CommandLine) -> None:
    packmule.environment["COLUMNS"] = ""  # test runners set one
    target = packmule.root / ("long" * 30)
    target.mkdir()
    result = packmule.call("export", "--all", "--source", "fake", "--to", str(target))
    for name in ("group/one", "group/two", "other/three"):
        [line] = [line for line in result.stderr.splitlines() if f" {name} " in line and "finished" in line]
        assert line.endswith(f" {target / name}.tar.gz")


def test_as_many_at_a_time_as_asked(packmule: CommandLine) -> None:
    packmule.hang("project.0")
    words = ("export", "--all", "--source", "fake", "--workers", "2", "--json")
    exports = packmule.start(*words, "--parallel-projects", "2")
    packmule.wait_for(lambda: packmule.reads().count("project.0") == 2)
    statuses = [job["status"] for job in packmule.run("list", "--json").json]
    assert sorted(statuses) == ["queued", "started", "started"]
    packmule.free("project.0")
    out, _ = exports.communicate(timeout=60)
    assert [job["status"] for job in json.loads(out)] == ["finished"] * 3


def test_one_fails_and_the_others_go_on(packmule: CommandLine) -> None:
    taken = packmule.root / "archives" / "group" / "one.tar.gz"
    taken.parent.mkdir(parents=True)
    taken.write_bytes(b"somebody's")
    words = ("export", "--all", "--source", "fake", "--to", str(packmule.root / "archives"))
    result = packmule.run(*words, "--json")
    assert result.exit_code == 3
    assert [(job["project"], job["status"]) for job in result.json] == [
        ("group/one", "failed"),
        ("group/two", "finished"),
        ("other/three", "finished"),
    ]
    assert "1 of 3 exports failed: group/one" in result.stderr
    assert taken.read_bytes() == b"somebody's"
    taken.unlink()
    resumed = packmule.run("resume", "--all", "--json")
    assert (resumed.exit_code, [job["status"] for job in resumed.json]) == (0, ["finished"])
    assert members(taken) == FakeSource().expected()


def test_an_interrupted_group_is_resumed_as_a_whole(packmule: CommandLine) -> None:
    packmule.hang("merge_requests.1")
    words = ("export", "--all", "--source", "fake", "--parallel-projects", "1", "--workers", "1", "--json")
    exports = packmule.start(*words)
    packmule.wait_for_read("merge_requests.1")
    os.kill(exports.pid, signal.SIGINT)
    out, err = exports.communicate(timeout=60)
    assert exports.returncode == 130
    assert "packmule resume --all" in err
    assert err.splitlines().count("job 1: the export was interrupted") == 1
    assert [job["status"] for job in json.loads(out)] == ["interrupted", "queued", "queued"]
    packmule.free("merge_requests.1")
    done = packmule.reads().count("issues.0")
    result = packmule.run("resume", "--all", "--parallel", "2", "--json")
    assert (result.exit_code, [job["status"] for job in result.json]) == (0, ["finished"] * 3)
    assert packmule.reads().count("issues.0") == done + 2, "what the first job had done is kept"


def test_queued_ones_are_told(packmule: CommandLine) -> None:
    result = packmule.run("export", "--group", "group", "--source", "fake", "--queue", "--json")
    assert (result.exit_code, [job["status"] for job in result.json]) == (0, ["queued", "queued"])
    assert packmule.reads() == []


def test_an_unknown_relation_is_refused_before_any_job(packmule: CommandLine) -> None:
    assert packmule.run("export", "--all", "--source", "fake", "--only", "isues").exit_code == 2
    assert packmule.run("list", "--json").json == []


def test_a_group_of_a_gitlab(packmule: CommandLine, world: World) -> None:  # noqa: F811
    shells = [world.project(f"whole/{name}") for name in ("small", "sub/large")]
    for shell, commits in zip(shells, (1, 9), strict=True):
        make_repository(world.repository(shell.disk_path), commits=commits)
        world.insert(
            "project_statistics",
            project_id=shell.project_id, namespace_id=1, repository_size=commits, commit_count=commits,
        )  # fmt: skip
    lines = [f'[sources.gl]\nkind = "gitlab-db"\ndatabase = "{world.instance.server.dsn()}"']
    lines += [f'{name} = "{getattr(world, name)}"' for name in ("repositories", "uploads", "shared")]
    packmule.configure("\n".join(lines))
    target = packmule.root / "archives"
    target.mkdir()
    result = packmule.run("export", "--group", "whole", "--source", "gl", "--to", str(target), "--json")
    assert result.exit_code == 0, result.stderr
    assert [job["project"] for job in result.json] == ["whole/sub/large", "whole/small"]
    for shell in shells:
        assert "project.bundle" in members(target / f"{shell.full_path}.tar.gz")
