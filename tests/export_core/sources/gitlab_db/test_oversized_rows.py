"""Records that are too large for one statement are the same JSON as any other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from export_core.gitlab.tree import relations
from export_core.source import Selection
from export_core.sources.gitlab_db import oversized, statements
from export_core.sources.gitlab_db.batches import ids_in
from export_core.sources.gitlab_db.reader import GitlabReader
from export_core.sources.gitlab_db.source import GitlabSource
from tests.export_core.sources.gitlab_db.comparison import difference
from tests.export_core.sources.gitlab_db.conftest import RealGitlab
from tests.export_core.sources.gitlab_db.databases import BASE, SPLIT
from tests.export_core.sources.gitlab_db.surroundings import PATHS

LISTS = ["issues", "merge_requests", "ci_pipelines", "vulnerabilities", "snippets", "labels", "boards"]


@pytest.fixture(scope="module", params=[(BASE,), SPLIT], ids=["one database", "three databases"])
def opened(gitlab: RealGitlab, request: pytest.FixtureRequest) -> Iterator[tuple[Any, GitlabReader, Any]]:
    """A snapshot, a reader on it, and what is expected."""
    source = GitlabSource("test", gitlab.settings(*request.param))
    snapshot = source.open(PATHS[0], {})
    reader = source.reader(snapshot.token)
    yield snapshot, reader, gitlab.serialiser(gitlab.tables(*request.param), PATHS[0])
    reader.close()
    snapshot.close()


def _ids(snapshot: Any, relation: str) -> list[int]:
    parts = snapshot.plan(Selection(only=(relation,))).parts
    return [id for part in parts for id in ids_in(part.payload["ids"])]


@pytest.mark.parametrize("relation", LISTS)
def test_child_by_child(opened: tuple[Any, GitlabReader, Any], relation: str) -> None:
    snapshot, reader, serialiser = opened
    made = statements.Statements(reader)
    expected = serialiser.relation(relation)
    for id, value in zip(_ids(snapshot, relation), expected, strict=True):
        pieces = oversized.child_by_child(made, reader.resolver, relations()[relation], id)
        assert difference(relation, json.loads(b"".join(pieces)), value) == []


@pytest.mark.parametrize("limit", [1, 20])
def test_big_diffs_apart(
    opened: tuple[Any, GitlabReader, Any], limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a limit so low that nearly every diff is fetched by itself; those in files are read from there."""
    snapshot, reader, serialiser = opened
    monkeypatch.setattr(statements, "BIG_DIFF", limit)
    monkeypatch.setattr(oversized, "_SLICE", 7)
    made = statements.Statements(reader)
    expected = serialiser.relation("merge_requests")
    for id, value in zip(_ids(snapshot, "merge_requests"), expected, strict=True):
        pieces = oversized.with_big_diffs(made, reader.resolver, relations()["merge_requests"], id)
        assert difference("merge_requests", json.loads(b"".join(pieces)), value) == []
