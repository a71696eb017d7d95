"""Files that are gone or damaged: the export fails naming them, or says what it lacks with exit code 3."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine
from tests.cli.test_export import members
from tests.export_core.sources.gitlab_db_files.conftest import world  # noqa: F401
from tests.export_core.sources.gitlab_db_files.world import World, put

HEX = "f" * 32


@pytest.fixture
def words(packmule: CommandLine, world: World) -> tuple[str, ...]:  # noqa: F811
    """A command line that exports a new project's files: one upload is there, one is gone."""
    shell = world.project()
    for name in ("gone", "there"):
        world.upload(shell, f"{HEX}/{name}", secret=HEX)
    put(world.uploads / shell.disk_path / HEX / "there", b"!")
    lines = [f'[sources.gl]\nkind = "gitlab-db"\ndatabase = "{world.instance.server.dsn()}"']
    lines += [f'{name} = "{getattr(world, name)}"' for name in ("repositories", "uploads", "shared")]
    packmule.configure("\n".join(lines))
    target = str(packmule.root / "out.tar.gz")
    return "export", shell.full_path, "--source", "gl", "--only", "uploads,lfs_objects", "--to", target


def test_it_fails_before_anything_is_made(packmule: CommandLine, words: tuple[str, ...]) -> None:
    result = packmule.run(*words)
    assert result.exit_code == 3
    assert f"uploads/{HEX}/gone" in result.stderr
    assert "--allow-missing" in result.stderr
    assert not Path(words[-1]).exists()


def test_allowed_it_is_delivered_and_told_everywhere(packmule: CommandLine, words: tuple[str, ...]) -> None:
    result = packmule.run(*words, "--allow-missing", "--json")
    assert result.exit_code == 3
    assert result.json["status"] == "finished"
    (missing,) = (warning for warning in result.json["warnings"] if warning.startswith("missing: "))
    assert f"uploads/{HEX}/gone" in missing
    assert members(Path(words[-1])) == {f"uploads/{HEX}/there": b"!", "lfs-objects.json": b"{}"}
    assert missing in packmule.run("show", "1", "--json").json["warnings"]
    plan = packmule.run(*words, "--allow-missing", "--dry-run", "--json")
    assert (plan.exit_code, missing in plan.json["warnings"]) == (0, True)


def test_a_damaged_lfs_object(packmule: CommandLine, words: tuple[str, ...], world: World) -> None:  # noqa: F811
    ((project,),) = world.run("SELECT source_id FROM routes WHERE path = %s", words[1])
    oid = hashlib.sha256(words[1].encode()).hexdigest()
    ((lfs,),) = world.run(
        "INSERT INTO lfs_objects (oid, size, file_store) VALUES (%s, 5, 1) RETURNING id", oid
    )
    world.insert("lfs_objects_projects", lfs_object_id=lfs, project_id=project, repository_type=0)
    place = put(world.shared / "lfs-objects" / oid[:2] / oid[2:4] / oid[4:], b"other")
    result = packmule.run(*words, "--allow-missing")
    assert result.exit_code == 3
    assert f"lfs-objects/{oid}" in result.stderr
    assert "sha256" in result.stderr
    assert not Path(words[-1]).exists()
    place.write_bytes(words[1].encode())
    world.run("UPDATE lfs_objects SET size = %s WHERE id = %s", len(words[1]), lfs)
    result = packmule.run("resume", "1", "--restart", "--json")
    assert (result.exit_code, result.json["status"]) == (3, "finished"), result.stderr
    assert members(Path(words[-1]))[f"lfs-objects/{oid}"] == words[1].encode()
