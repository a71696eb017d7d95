"""One made-up GitLab for all tests of the source: in one database, and in three."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from export_core.sources.embedded.server import EmbeddedServer
from export_core.sources.gitlab_db.renderings import Rules
from export_core.sources.gitlab_db.settings import Databases, GitlabSettings, Storage
from tests.export_core.sources.gitlab_db import databases
from tests.export_core.sources.gitlab_db.facts import Facts
from tests.export_core.sources.gitlab_db.plain_tables import PlainTables
from tests.export_core.sources.gitlab_db.population import Population
from tests.export_core.sources.gitlab_db.serialiser import Context, Serialiser
from tests.export_core.sources.gitlab_db.serialiser_rules import RULES
from tests.export_core.sources.gitlab_db.surroundings import PATHS
from tests.export_core.sources.gitlab_db.world import World


@dataclass(frozen=True, slots=True)
class RealGitlab:
    """A running one."""

    server: EmbeddedServer
    facts: Facts
    world: World
    disk: databases.Disk

    def dsn(self, database: str) -> str:
        """A connection string."""
        return self.server.dsn(database)

    def settings(self, *names: str, **rules: Any) -> GitlabSettings:
        """The product's settings for one database (``BASE`` when none is named), or for three."""
        storage = Storage(
            repositories={"default": str(self.disk.repositories)},
            external_diffs=str(self.disk.external_diffs),
        )
        places = map(self.dsn, names or [databases.BASE])
        return GitlabSettings(Databases(*places), storage, rules=Rules(**rules))

    def tables(self, *names: str) -> PlainTables:
        """The same rows for the serialiser."""
        three = names * 3 if len(names) == 1 else names or [databases.BASE] * 3
        places = zip(("main", "ci", "sec"), map(self.dsn, three), strict=True)
        return PlainTables(dict(places), self.facts.databases())

    def serialiser(self, tables: PlainTables, path: str, **context: Any) -> Serialiser:
        """What is to be expected of a project."""
        id = PATHS.index(path) + 1
        project = tables.where("projects", "id", id)[0]
        known = Context(
            tables, self.facts, project,
            branches=self.disk.branches, head=self.disk.heads.get(id), diff_files=self.world.diff_files,
        )  # fmt: skip
        return Serialiser(replace(known, **context), RULES)


@pytest.fixture(scope="session")
def facts() -> Facts:
    """relations.json and columns.tsv; tests that need them skip where they are absent."""
    directory = Path(__file__).parents[5] / "shared"
    if not (directory / "gitlab").is_dir():
        pytest.skip("the folder ../shared is not here")
    return Facts(directory)


@pytest.fixture(scope="session")
def gitlab(facts: Facts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGitlab]:
    """Filled once; tests that change rows copy it (``databases.copied``)."""
    directory = tmp_path_factory.mktemp("real")
    world = Population(facts).fill()
    disk = databases.make_disk(directory, world)
    server = EmbeddedServer(directory / "server")
    with server.session():
        databases.build(server.dsn, facts, world)
        yield RealGitlab(server, facts, world, disk)
