"""``packmule export --dry-run``: the plan and what it will take, and nothing done."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine
from tests.export_core.sources.gitlab_db_files.conftest import world  # noqa: F401
from tests.export_core.sources.gitlab_db_files.world import World, make_repository, put


def test_nothing_is_written(packmule: CommandLine) -> None:
    target = packmule.root / "out.tar.gz"
    before = sorted(packmule.root.rglob("*"))
    for words in (("a/b",), ("--group", "group"), ("--all", "--to", f"{packmule.root}/")):
        result = packmule.run("export", *words, "--source", "fake", "--dry-run")
        assert result.exit_code == 0, result.stderr
    assert packmule.run("export", "a/b", "--source", "fake", "--dry-run", "--to", str(target)).exit_code == 0
    assert sorted(packmule.root.rglob("*")) == before
    assert not packmule.home.exists()


def test_what_people_see(packmule: CommandLine) -> None:
    result = packmule.run("export", "a/b", "--source", "fake", "--dry-run", "--skip", "uploads")
    assert "nothing is exported" in result.stdout
    assert "archive: about " in result.stdout
    assert "estimated from rows:" in result.stdout
    assert "warning: left out on request: uploads" in result.stderr


def test_the_document(packmule: CommandLine) -> None:
    found = packmule.run("export", "a/b", "--source", "fake", "--dry-run", "--json", "--workers", "3").json
    assert set(found) == {
        "project", "source", "strategy", "relations", "parts", "lines", "bytes", "estimate", "warnings",
    }  # fmt: skip
    assert found["lines"] == 60 + 60
    assert found["bytes"] == sum(relation["bytes"] for relation in found["relations"])
    assert found["estimate"]["workers"] == 3


def test_projects_of_a_group_in_one_list(packmule: CommandLine) -> None:
    found = packmule.run("export", "--group", "group", "--source", "fake", "--dry-run", "--json").json
    assert [plan["project"] for plan in found] == ["group/one", "group/two"]
    text = packmule.run("export", "--all", "--source", "fake", "--dry-run").stdout
    assert "3 projects" in text
    assert "other/three" in text


@pytest.mark.parametrize(("file", "code"), [("missing", 4), ("refuse", 5)])
def test_what_an_export_would_refuse(packmule: CommandLine, file: str, code: int) -> None:
    (packmule.control / file).touch()
    assert packmule.run("export", "a/b", "--source", "fake", "--dry-run").exit_code == code


def test_a_gitlab_is_weighed_by_its_files(packmule: CommandLine, world: World) -> None:  # noqa: F811
    shell = world.project()
    repository = make_repository(world.repository(shell.disk_path))
    world.upload(shell, "0" * 32 + "/x", secret="0" * 32)
    put(world.uploads / shell.disk_path / ("0" * 32) / "x", bytes(70_000))
    options = [
        word
        for name in ("repositories", "uploads", "shared")
        for word in ("--source-option", f"{name}={getattr(world, name)}")
    ]
    words = ("--source", "gl", *options, "--dry-run", "--json")
    packmule.configure(f'[sources.gl]\nkind = "gitlab-db"\ndatabase = "{world.instance.server.dsn()}"')
    found = packmule.run("export", shell.full_path, *words)
    assert found.exit_code == 0, found.stderr
    plan = {relation["name"]: relation for relation in found.json["relations"]}
    size = sum(path.stat().st_size for path in Path(repository / "objects").rglob("*") if path.is_file())
    assert plan["repository"]["bytes"] == size
    assert (plan["uploads"]["bytes"], plan["uploads"]["lines"]) == (70_000, 1)
    assert plan["issues"] == {"name": "issues", "parts": 0, "lines": 0, "bytes": 0}
