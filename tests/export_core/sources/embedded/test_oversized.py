"""Records too large for one statement: the same JSON as the fast way, in another order of keys."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from export_core.errors import RelationFailed
from export_core.segment import SegmentWriter
from export_core.source import Part, Selection
from export_core.sources import embedded as embedded_source
from export_core.sources.embedded.demo_archive import write_demo_archive
from export_core.sources.embedded.instance import EmbeddedInstance
from export_core.sources.embedded.loader import load_archive
from export_core.sources.gitlab_db import oversized, rows, statements
from export_core.workspace import Workspace


class Collected:
    """A sink that keeps everything in memory."""

    def __init__(self) -> None:
        self.data = b""
        self.count = 0
        self.warnings: list[str] = []

    def write(self, data: bytes) -> None:
        self.data += data

    def lines(self, count: int) -> None:
        self.count += count

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def check_stop(self) -> None:
        pass


@pytest.fixture(scope="module")
def demo(embedded: EmbeddedInstance, tmp_path_factory: pytest.TempPathFactory) -> str:
    archive = tmp_path_factory.mktemp("demo") / "demo.tar.gz"
    write_demo_archive(archive)
    return load_archive(embedded, archive, "oversized/demo").project


def read(instance: EmbeddedInstance, project: str, relation: str) -> tuple[list[Any], Collected]:
    source = embedded_source.build("embedded", {}, instance.home)
    snapshot = source.open(project, {})
    reader = source.reader(snapshot.token)
    sink = Collected()
    try:
        for part in snapshot.plan(Selection(only=(relation,))).parts:
            reader.read(part, sink)
    finally:
        reader.close()
        snapshot.close()
    return [json.loads(line) for line in sink.data.decode().split("\n") if line], sink


def refuse_batches(monkeypatch: pytest.MonkeyPatch, *, also_single: bool = False) -> list[Sequence[int]]:
    """Let PostgreSQL refuse statements that read notes too, as it does above 1 GB; what was refused."""
    usual, refused = statements.Statements.lines, []

    def lines(self: Any, node: Any, ids: Sequence[int], *more: Any, **options: Any) -> list[bytes]:
        whole = any(child.name == "notes" for child in node.children)
        if whole or also_single:
            refused.append(ids)
            raise statements.Unreadable("invalid memory alloc request size 1234567890")
        return usual(self, node, ids, *more, **options)

    monkeypatch.setattr(statements.Statements, "lines", lines)
    return refused


@pytest.mark.parametrize("relation", ["issues", "merge_requests"])
def test_a_record_put_together_child_by_child_is_the_same_json(
    embedded: EmbeddedInstance, demo: str, relation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, plain = read(embedded, demo, relation)
    refused = refuse_batches(monkeypatch)
    found, sink = read(embedded, demo, relation)
    assert refused, "the fast way was refused"
    assert found == expected
    assert sink.count == plain.count == len(expected)


def test_large_diffs_are_streamed(
    embedded: EmbeddedInstance, demo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every diff of the demonstration counts as large, and is cut into slices of a few bytes."""
    expected, _ = read(embedded, demo, "merge_requests")
    monkeypatch.setattr(rows, "DIFF_BATCH_BYTES", 1)
    monkeypatch.setattr(statements, "BIG_DIFF", 1)
    monkeypatch.setattr(oversized, "_SLICE", 7)
    found, _ = read(embedded, demo, "merge_requests")
    assert found == expected
    files = [file for line in found for file in line["merge_request_diff"]["merge_request_diff_files"]]
    assert any(file["utf8_diff"] for file in files)


def test_a_record_that_cannot_be_read_at_all_is_named(
    embedded: EmbeddedInstance, demo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_batches(monkeypatch, also_single=True)
    with pytest.raises(RelationFailed, match=r"issues .*record with id \d+ .*invalid memory alloc") as caught:
        read(embedded, demo, "issues")
    assert caught.value.relation == "issues"


def test_postgresql_itself_refuses_and_the_snapshot_is_joined_again(
    embedded: EmbeddedInstance, demo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real error in the middle of a transaction: a text of more than 1 GB, asked of every whole issue."""
    usual = statements.relation_query

    def too_large(renderer: Any, node: Any, **options: Any) -> Any:
        query = usual(renderer, node, **options)
        if not any(child.name == "notes" for child in node.children):
            return query
        sql = query.sql.replace(
            "SELECT concat(", "SELECT concat(repeat('x', 600000000), repeat('x', 600000000), ", 1
        )
        return statements.Query(sql, query.missing, query.elsewhere)

    expected, _ = read(embedded, demo, "issues")
    monkeypatch.setattr(statements, "relation_query", too_large)
    found, _ = read(embedded, demo, "issues")
    assert found == expected


def test_a_line_above_what_the_importer_reads_is_told(
    embedded: EmbeddedInstance, demo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_LONGEST_LINE", 100)
    _, sink = read(embedded, demo, "issues")
    assert all("longer than the 50 MiB" in warning for warning in sink.warnings)
    assert len(sink.warnings) == sink.count


def test_the_sink_of_an_export_takes_pieces(tmp_path: Path) -> None:
    """The real sink makes one stream of however many pieces."""
    with SegmentWriter(Workspace(tmp_path), "issues", 0) as writer:
        for piece in (b"{", b'"a":', b"1}", b"\n"):
            writer.write(piece)
        writer.lines(1)
        segment = writer.close()
    assert (segment.raw_size, segment.lines) == (8, 1)
    assert Part("issues", 0, "x").lines is None
