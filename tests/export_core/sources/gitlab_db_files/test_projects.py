"""Which projects a group has, the largest first."""

from __future__ import annotations

import psycopg
import pytest

from export_core.errors import NotFound, SourceUnavailable
from export_core.source import Selection
from export_core.sources.embedded.source import EmbeddedSource
from tests.export_core.sources.gitlab_db_files.world import World

PATHS = ("listing/a", "listing/b", "listing/sub/c", "listing/sub/deep/d", "listing_/e", "listingx/f")


@pytest.fixture(scope="module")
def _listed() -> list[int]:
    return []


@pytest.fixture
def listed(world: World, _listed: list[int]) -> World:
    if not _listed:
        shells = [world.project(path) for path in PATHS]
        _listed.extend(shell.project_id for shell in shells)
        for shell, size in zip(shells, (10, 30, 20, None, 5, 1), strict=True):
            if size is not None:
                world.insert(
                    "project_statistics",
                    project_id=shell.project_id, namespace_id=1, repository_size=size, lfs_objects_size=1,
                    build_artifacts_size=10**9,
                )  # fmt: skip
    return world


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("listing", ["listing/b", "listing/sub/c", "listing/a", "listing/sub/deep/d"]),
        ("Listing/", ["listing/b", "listing/sub/c", "listing/a", "listing/sub/deep/d"]),
        ("listing/sub", ["listing/sub/c", "listing/sub/deep/d"]),
        ("listing_", ["listing_/e"]),
    ],
)
def test_of_a_group(listed: World, group: str, expected: list[str]) -> None:
    assert list(listed.source().projects(group)) == expected


def test_all(listed: World) -> None:
    found = list(listed.source().projects(None))
    assert set(PATHS) <= set(found)
    assert found.index("listing/b") < found.index("listing/a") < found.index("listing/sub/deep/d")
    assert list(EmbeddedSource("embedded", listed.instance).projects(None)) == found


def test_a_group_that_does_not_exist(listed: World) -> None:
    for group in ("listin", "listing/a", "listing%"):
        with pytest.raises(NotFound):
            listed.source().projects(group)


def test_without_statistics_by_path(listed: World) -> None:
    listed.run("DROP ROLE IF EXISTS no_statistics")
    listed.run("CREATE ROLE no_statistics LOGIN")
    listed.run("GRANT SELECT ON projects, routes, namespaces TO no_statistics")
    dsn = psycopg.conninfo.make_conninfo(listed.instance.server.dsn(), user="no_statistics")
    found = list(listed.source(database=dsn).projects("listing"))
    listed.run("DROP OWNED BY no_statistics")
    assert found == sorted(found)
    assert len(found) == 4


def test_another_database(world: World) -> None:
    with pytest.raises(SourceUnavailable):
        world.source(database=world.instance.server.dsn("postgres")).projects(None)


@pytest.mark.parametrize(("options", "said"), [({}, False), ({"as_user": "nobody"}, True)])
def test_the_embedded_instance_says_that_as_user_changes_nothing(
    listed: World, options: dict[str, str], said: bool
) -> None:
    snapshot = EmbeddedSource("embedded", listed.instance).open("listing/a", options)
    try:
        warnings = snapshot.plan(Selection(("labels",))).warnings
    finally:
        snapshot.close()
    assert any("--as-user changes nothing" in warning for warning in warnings) is said
