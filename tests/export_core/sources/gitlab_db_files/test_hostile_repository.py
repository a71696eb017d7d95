"""A repository's own files never run anything. Each trap leaves a canary when it is sprung."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psutil
import pytest

from export_core import git as product_git
from export_core.errors import RelationFailed
from tests.export_core.sources.gitlab_db_files.test_repositories import cloned
from tests.export_core.sources.gitlab_db_files.world import World, git, make_repository, refs


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A program that leaves a file ``sung`` beside itself, whoever calls it."""
    script = tmp_path / "canary.sh"
    script.write_text(f'#!/bin/sh\necho "$0 $*" >> {tmp_path}/sung\nexit 1\n')
    script.chmod(0o755)
    return script


def sung(canary: Path) -> str:
    place = canary.with_name("sung")
    return place.read_text() if place.exists() else ""


def set_traps(repository: Path, canary: Path) -> None:
    """Everything in a repository that can name a program, as far as git knows it."""
    config = {
        "core.fsmonitor": canary, "core.sshCommand": canary, "core.hooksPath": canary.parent / "hooks",
        "core.pager": canary, "core.editor": canary, "core.askPass": canary, "core.gitProxy": canary,
        "core.alternateRefsCommand": canary, "core.attributesFile": canary.parent / "attributes",
        "uploadpack.packObjectsHook": canary, "credential.helper": f"!{canary}", "gpg.program": canary,
        "diff.external": canary, "diff.x.textconv": canary, "filter.x.clean": canary,
        "filter.x.smudge": canary, "filter.x.process": canary, "merge.x.driver": canary,
        "pager.bundle": canary, "pager.for-each-ref": canary, "alias.bundle": f"!{canary}",
        "alias.for-each-ref": f"!{canary}", "protocol.allow": "always", "protocol.ext.allow": "always",
        "gc.auto": "1", "gc.recentObjectsHook": canary, "trailer.x.command": canary,
        "include.path": canary.parent / "included",
    }  # fmt: skip
    (canary.parent / "included").write_text(
        f'[core]\n\tsshCommand = {canary}\n[alias]\n\tsymbolic-ref = "!{canary}"\n'
    )
    (canary.parent / "attributes").write_text("* filter=x diff=x merge=x\n")
    for key, value in config.items():
        git("config", "--file", str(repository / "config"), key, str(value))
    for hooks in (repository / "hooks", canary.parent / "hooks"):
        hooks.mkdir(exist_ok=True)
        for name in (
            "post-checkout",
            "reference-transaction",
            "pre-auto-gc",
            "post-index-change",
            "fsmonitor-watchman",
        ):
            (hooks / name).symlink_to(canary)
    (repository / "info" / "attributes").write_text("* filter=x diff=x\n")
    (repository / "objects" / "info" / "alternates").write_text("/etc\n")


def make_partial(repository: Path, url: str) -> None:
    """A promise that a remote has what is missing, and something missing."""
    values = {
        "core.repositoryformatversion": "1", "extensions.partialClone": "origin", "remote.origin.url": url,
        "remote.origin.promisor": "true", "remote.origin.partialclonefilter": "blob:none",
    }  # fmt: skip
    for key, value in values.items():
        git("config", "--file", str(repository / "config"), key, value)
    first = git("--git-dir", str(repository), "rev-list", "--max-parents=0", "main").strip()
    (repository / "objects" / first[:2] / first[2:]).unlink()


def test_traps_in_the_configuration(world: World, canary: Path, tmp_path: Path) -> None:
    shell = world.project()
    original = make_repository(world.repository(shell.disk_path))
    expected = refs(original)
    set_traps(original, canary)
    found = world.export(shell, "repository", "project")
    assert b'"default_branch":"main"' in found.members["tree/project.json"]
    assert refs(cloned(found.members["project.bundle"], tmp_path / "c")) == expected
    assert sung(canary) == ""


@pytest.mark.parametrize("transport", ["ext", "ssh", "file", "helper"])
def test_missing_objects_are_not_fetched(world: World, canary: Path, transport: str) -> None:
    shell = world.project()
    original = make_repository(world.repository(shell.disk_path))
    url = {"ext": f"ext::{canary} %S", "ssh": "ssh://host/x", "file": str(original), "helper": "canary::x"}[
        transport
    ]
    set_traps(original, canary)
    make_partial(original, url)
    git("config", "--file", str(original / "config"), "remote.origin.uploadpack", str(canary))
    (canary.parent / "git-remote-canary").symlink_to(canary)
    with pytest.raises(RelationFailed) as error:
        world.export(shell, "repository")
    assert error.value.exit_code == 3
    assert sung(canary) == ""


@pytest.mark.parametrize("transport", ["ext", "ssh"])
def test_the_traps_do_work(canary: Path, tmp_path: Path, transport: str) -> None:
    """Plain git springs them: otherwise the tests above would prove nothing."""
    repository = make_repository(tmp_path / "x.git")
    set_traps(repository, canary)
    make_partial(repository, {"ext": f"ext::{canary} %S", "ssh": "ssh://host/x"}[transport])
    words = ["git", "--git-dir", str(repository), "bundle", "create", "-", "--all"]
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run(words, env=environment, capture_output=True, check=False)
    assert "canary.sh" in sung(canary)


def test_the_guards_are_needed_one_by_one() -> None:
    """What stops a transport is the variable: the repository's own configuration beats protocol.allow."""
    assert product_git.environment()["GIT_ALLOW_PROTOCOL"] == product_git.NO_PROTOCOL
    assert product_git.environment(protocols="file")["GIT_ALLOW_PROTOCOL"] == "file"


def test_git_is_killed_with_its_children(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "x.git", commits=30)

    def leave_in_the_middle() -> None:
        with product_git.stream(repository, "cat-file", "--batch-all-objects", "--batch") as out:
            assert out.read(1)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        leave_in_the_middle()
    assert [child for child in psutil.Process().children(recursive=True) if child.name() == "git"] == []
