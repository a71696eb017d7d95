"""Repositories: where they lie, whole bundles of them, and what happens when they are not there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from export_core import git as product_git
from export_core.errors import SourceUnavailable
from export_core.gitlab.snippets import snippet_digest
from export_core.sources.gitlab_db import bundles
from export_core.sources.gitlab_db.planning import MissingInSource
from tests.export_core.sources.gitlab_db_files.world import World, export, git, make_repository, refs

BUNDLES = ("repository", "wiki_repository", "design_repository", "snippets_repository")


def cloned(bundle: bytes, directory: Path) -> Path:
    """What git makes of a bundle, checked object by object."""
    directory.mkdir(exist_ok=True)
    (directory / "x.bundle").write_bytes(bundle)
    git("clone", "-q", "--mirror", str(directory / "x.bundle"), str(directory / "clone.git"))
    git("--git-dir", str(directory / "clone.git"), "fsck", "--full", "--strict")
    return directory / "clone.git"


def test_every_ref_of_a_repository_in_hashed_storage(world: World, tmp_path: Path) -> None:
    shell = world.project()
    original = make_repository(world.repository(shell.disk_path))
    bundle = world.export(shell, *BUNDLES).members["project.bundle"]
    assert bundle.startswith(b"# v2 git bundle\n")
    assert refs(cloned(bundle, tmp_path / "c")) == refs(original) != set()


def test_the_disk_path_in_the_database_counts(world: World, tmp_path: Path) -> None:
    """Legacy storage, on another shard."""
    shell = world.project()
    world.run(
        "UPDATE project_repositories SET disk_path = 'old/place', shard_id = %s WHERE project_id = %s",
        *(world.shard("nfs"), shell.project_id),
    )
    make_repository(world.repository(shell.disk_path), commits=1)  # not this one
    original = make_repository(tmp_path / "nfs" / "old" / "place.git", commits=3)
    places = {"default": str(world.repositories), "nfs": str(tmp_path / "nfs")}
    found = export(world.source(repositories=places), shell.full_path, ("repository",), {})
    assert refs(cloned(found.members["project.bundle"], tmp_path / "c")) == refs(original)


def test_wiki_design_and_snippets(world: World, tmp_path: Path) -> None:
    shell = world.project()
    for suffix in ("", ".wiki", ".design"):
        make_repository(world.repository(shell.disk_path, suffix))
    snippet = 700_000 + shell.project_id
    world.insert(
        "snippets", id=snippet, title="t", description="d", type="ProjectSnippet", author_id=1,
        project_id=shell.project_id, created_at="2024-02-03 04:05:06.789", updated_at="2024-02-04 00:00:00",
    )  # fmt: skip
    world.insert(
        "snippet_repositories", snippet_id=snippet, shard_id=1, disk_path=f"@snippets/aa/bb/{snippet}"
    )
    make_repository(world.repositories / f"@snippets/aa/bb/{snippet}.git")
    found = world.export(shell, *BUNDLES).members
    digest = snippet_digest("t", "d", "2024-02-03T04:05:06.789Z", "2024-02-04T00:00:00.000Z")
    assert set(found) == {
        "project.bundle", "project.wiki.bundle", "project.design.bundle", f"snippets/{digest}.bundle",
    }  # fmt: skip
    for name, bundle in found.items():
        cloned(bundle, tmp_path / name.replace("/", "-"))


def test_a_fork_that_borrows_from_a_pool_is_whole(world: World, tmp_path: Path) -> None:
    shell = world.project()
    pool = make_repository(world.repositories / "@pools" / "aa" / "bb" / "pool.git", commits=5)
    fork = world.repository(shell.disk_path)
    git("clone", "-q", "--bare", "--shared", str(pool), str(fork))
    up = os.path.relpath(pool / "objects", fork / "objects")
    (fork / "objects" / "info" / "alternates").write_text(f"{up}\n")
    assert not list((fork / "objects").rglob("*.pack"))
    bundle = world.export(shell, "repository").members["project.bundle"]
    assert refs(cloned(bundle, tmp_path / "c")) == refs(fork)

    shutil.move(pool, tmp_path / "elsewhere.git")
    with pytest.raises(MissingInSource) as error:
        world.export(shell, "repository")
    assert error.value.exit_code == 3
    assert "pool.git" in error.value.message


@pytest.mark.parametrize("tags", [False, True])
def test_a_repository_without_a_branch_is_left_out(world: World, *, tags: bool) -> None:
    shell = world.project()
    repository = make_repository(world.repository(shell.disk_path), commits=1 if tags else 0)
    if tags:
        for branch in ("main", "other"):
            git("--git-dir", str(repository), "update-ref", "-d", f"refs/heads/{branch}")
        assert refs(repository)
    found = world.export(shell, *BUNDLES)
    assert (found.members, found.plan.warnings) == ({}, ())


class TestNotThere:
    """Refused before anything is read; lost things are never passed over."""

    def test_a_storage_without_a_path(self, world: World) -> None:
        shell = world.project()
        world.run(
            "UPDATE project_repositories SET shard_id = %s WHERE project_id = %s",
            *(world.shard("nfs"), shell.project_id),
        )
        with pytest.raises(SourceUnavailable) as error:
            world.export(shell, *BUNDLES)
        assert "'nfs'" in error.value.message
        assert "--skip repository,wiki_repository,design_repository" in (error.value.hint or "")

    def test_a_storage_that_is_not_mounted(self, world: World) -> None:
        shell = world.project()
        world.repositories.rmdir()
        with pytest.raises(SourceUnavailable) as error:
            world.export(shell, "repository")
        assert str(world.repositories) in error.value.message
        assert "--skip repository" in (error.value.hint or "")

    def test_branches_that_cannot_be_told_are_a_warning(self, world: World) -> None:
        world.repositories.rmdir()
        found = world.export(world.project(), "project")
        assert any("default_branch" in warning for warning in found.plan.warnings)

    def test_a_repository_that_was_committed_to(self, world: World) -> None:
        shell = world.project()
        assert world.export(shell, *BUNDLES).members == {}, "nothing was ever there"
        world.insert(
            "project_statistics",
            project_id=shell.project_id, namespace_id=1, commit_count=3, repository_size=9, wiki_size=5,
        )  # fmt: skip
        with pytest.raises(MissingInSource) as error:
            world.export(shell, *BUNDLES)
        assert shell.disk_path in error.value.message
        assert error.value.exit_code == 3
        found = world.export(shell, *BUNDLES, allow_missing=True)
        assert len(found.plan.warnings) == 2
        assert all(warning.startswith("missing: ") for warning in found.plan.warnings)


def test_very_many_refs_are_warned_of(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = world.project()
    make_repository(world.repository(shell.disk_path))
    monkeypatch.setattr(bundles, "MANY_REFS", 4)
    monkeypatch.setattr(product_git, "version", lambda: (2, 49))
    (warning,) = world.export(shell, "repository").plan.warnings
    assert "refs" in warning
    monkeypatch.setattr(product_git, "version", lambda: (2, 50))
    assert world.export(shell, "repository").plan.warnings == ()


def test_gits_version_is_as_git_says() -> None:
    major, minor = product_git.version()
    assert git("version").startswith(f"git version {major}.{minor}")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_repository_of_another_user(world: World, tmp_path: Path) -> None:
    shell = world.project()
    original = make_repository(world.repository(shell.disk_path))
    for place in (original, *original.rglob("*")):
        os.chown(place, 65534, 65534)
    bundle = world.export(shell, "repository").members["project.bundle"]
    assert refs(cloned(bundle, tmp_path / "c")) == refs(original)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_repository_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "x.git")
    tmp_path.chmod(0o755)
    (repository / "objects").chmod(0o700)
    program = (
        "import os, sys; from pathlib import Path; from export_core import git\n"
        "os.setuid(65534)\n"
        "try: git.has_branch(Path(sys.argv[1]))\n"
        "except Exception as exc: print(type(exc).__name__, exc)"
    )
    inside = [sys.executable, "-c", program, str(repository)]
    said = subprocess.run(inside, capture_output=True, text=True, check=True).stdout
    assert said.startswith("SourceUnavailable")
    assert "Permission denied" in said


def test_sha256_object_ids(world: World, tmp_path: Path) -> None:
    shell = world.project()
    world.run("UPDATE project_repositories SET object_format = 1 WHERE project_id = %s", shell.project_id)
    original = make_repository(world.repository(shell.disk_path), "--object-format=sha256")
    bundle = world.export(shell, "repository").members["project.bundle"]
    assert bundle.startswith(b"# v3 git bundle\n")
    assert refs(cloned(bundle, tmp_path / "c")) == refs(original)
