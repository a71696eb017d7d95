"""How much is read at one time: by rows, by the bytes of diffs, by the bytes of the rows before."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from export_core.gitlab.tree import Node
from export_core.source import Selection
from export_core.sources.gitlab_db import batches
from export_core.sources.gitlab_db.batches import BATCH_BYTES, by_weight, rows_that_fit
from export_core.sources.gitlab_db.source import GitlabSource
from export_core.sources.gitlab_db.statements import Statements
from tests.export_core.sources.gitlab_db.conftest import RealGitlab
from tests.export_core.sources.gitlab_db.databases import BASE
from tests.export_core.sources.gitlab_db.product_runs import Collected
from tests.export_core.sources.gitlab_db.surroundings import PATHS


def test_large_rows_are_read_in_smaller_runs() -> None:
    assert rows_that_fit(500, 9_000) == 500
    assert rows_that_fit(500, None) == 62
    assert rows_that_fit(500, BATCH_BYTES / 10) == 10
    assert rows_that_fit(500, 10 * BATCH_BYTES) == 1


def test_runs_end_where_the_rows_or_their_weight_are_too_many() -> None:
    limits = iter([3, 2, 2, 2, 2])
    runs = list(by_weight(range(8), {4: 60, 5: 50}, lambda: next(limits), 100))
    assert runs == [[0, 1, 2], [3, 4], [5, 6], [7]]


def test_after_long_lines_statements_read_fewer_rows(
    gitlab: RealGitlab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same lines come, whatever the statements were."""
    usual, sizes = _lines(gitlab, monkeypatch)
    assert max(sizes) > 2
    monkeypatch.setattr(batches, "BATCH_BYTES", 1)
    again, small = _lines(gitlab, monkeypatch)
    assert again == usual
    assert small == [1] * len(usual)


def _lines(gitlab: RealGitlab, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Any], list[int]]:
    """The labels of a project, read twice by one reader; the lines and the statements of the second time."""
    sizes: list[int] = []
    lines = Statements.lines

    def counted(self: Statements, node: Node, ids: Sequence[int], *rest: Any, **more: Any) -> list[bytes]:
        sizes.append(len(ids))
        return lines(self, node, ids, *rest, **more)

    source = GitlabSource("test", gitlab.settings(BASE))
    snapshot = source.open(PATHS[0], {})
    reader = source.reader(snapshot.token)
    try:
        (part,) = snapshot.plan(Selection(only=("labels",))).parts
        reader.read(part, Collected())
        sink = Collected()
        with monkeypatch.context() as patch:
            patch.setattr(Statements, "lines", counted)
            reader.read(part, sink)
    finally:
        reader.close()
        snapshot.close()
    return [json.loads(line) for line in sink.data.splitlines()], sizes
