"""The contract of all sources, on a GitLab and on the embedded instance."""

from __future__ import annotations

import pytest

from export_core.sources.embedded.source import EmbeddedSource
from export_core.sources.gitlab_db.source import GitlabSource
from tests.export_core.sources.contract import Case, SourceContract
from tests.export_core.sources.gitlab_db_files.world import World, make_repository, put

HEX = "a" * 32


def filled(world: World) -> str:
    """A project with records in some relations, a repository and a file, and its statistics."""
    shell = world.project()
    make_repository(world.repository(shell.disk_path))
    world.upload(shell, f"{HEX}/x.txt", secret=HEX)
    for number in range(3):
        world.insert(
            "labels", title=f"l{number}", project_id=shell.project_id, type="ProjectLabel", color="#fff"
        )
        world.insert("milestones", title=f"m{number}", project_id=shell.project_id, iid=number + 1)
    world.insert("project_statistics", project_id=shell.project_id, namespace_id=1, commit_count=2)
    for root in (world.uploads, world.instance.storage.uploads):
        put(root / shell.disk_path / HEX / "x.txt", b"x")
    return shell.full_path


class TestGitlab(SourceContract):
    @pytest.fixture
    def case(self, world: World) -> Case:
        path = filled(world)
        dsn = f"{world.instance.server.dsn()} password=planted-secret"
        source: GitlabSource = world.source(database=dsn)
        return Case(source, path, secrets=("planted-secret",))


class TestEmbedded(SourceContract):
    @pytest.fixture
    def case(self, world: World) -> Case:
        return Case(EmbeddedSource("embedded", world.instance), filled(world))
