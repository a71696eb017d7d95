"""The GitLab that the tests of this folder read."""

from __future__ import annotations

from pathlib import Path

import pytest

from export_core.sources.embedded.instance import EmbeddedInstance
from tests.export_core.sources.gitlab_db_files.world import World


@pytest.fixture
def world(embedded: EmbeddedInstance, tmp_path: Path) -> World:
    """Its database is the session's, its files are the test's own."""
    found = World(embedded, tmp_path / "gitlab")
    for directory in (
        found.repositories,
        found.uploads,
        found.shared / "lfs-objects",
        found.shared / "external-diffs",
    ):
        directory.mkdir(parents=True)
    return found
