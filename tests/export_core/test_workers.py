"""Workers: a part is finished when its segment is sealed; an error of one part loses none of the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from export_core import workers as workers_module
from export_core.errors import ExportFailed
from export_core.segment import Segment, check_segment, seal_segment
from export_core.source import ArchiveFile, Part, Sink
from export_core.worker_pool import WorkerPool
from export_core.workers import Finished, PartWork, PartWorkers
from export_core.workspace import Workspace

PARTS = [Part("issues", number, "issues.ndjson", weight=10 - number, lines=2) for number in range(4)]


class Lines:
    """Writes as many lines as a part must hold."""

    def read(self, part: Part, sink: Sink) -> None:
        sink.write(b"{}\n" * (part.lines or 1))
        sink.lines(part.lines or 0)

    def files(self, part: Part) -> Iterator[ArchiveFile]:
        return iter(())

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "job")


def finished(pool: WorkerPool, workspace: Workspace) -> Iterator[Finished]:
    return PartWorkers(pool, Lines, lambda _part: None).run(PARTS, PartWork(workspace, 1, 0, lambda: None))


@pytest.mark.parametrize("count", [1, 3])
def test_a_finished_part_is_whole_on_the_disk(workspace: Workspace, count: int) -> None:
    with WorkerPool(count) as pool:
        found = [done.part for done in finished(pool, workspace) if check_segment(workspace, done.segment)]
    assert sorted(found, key=lambda part: part.number) == PARTS


def test_a_segment_that_the_disk_does_not_take_is_an_error_of_its_part_alone(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seal(place: Workspace, segment: Segment) -> None:
        if segment.part == 0:
            raise ExportFailed("cannot write the segment of issues (part 0): Input/output error")
        seal_segment(place, segment)

    monkeypatch.setattr(workers_module, "seal_segment", seal)
    done: list[int] = []
    with WorkerPool(1) as pool, pytest.raises(ExportFailed, match="part 0"):
        done.extend(found.part.number for found in finished(pool, workspace))
    names = {path.name for path in workspace.segments.iterdir()}
    assert 0 not in done
    assert {f"issues.{number}.0" for number in done} == {name for name in names if not name.endswith(".tmp")}


def test_whole_things_are_begun_first_then_the_heaviest_parts(workspace: Workspace) -> None:
    parts = [
        Part("project", 0, "a", weight=1000),
        Part("labels", 0, "b", weight=40_000, lines=80),
        Part("issues", 0, "c", weight=9_000_000, lines=100),
        Part("issues", 1, "c", weight=12_000_000, lines=100),
        Part("repository", 0, "d", weight=700_000),
        Part("wiki_repository", 0, "e", weight=900_000),
    ]
    begun: list[tuple[str, int]] = []
    with WorkerPool(1) as pool:
        workers = PartWorkers(pool, Lines, lambda part: begun.append((part.relation, part.number)))
        finished = list(workers.run(parts, PartWork(workspace, 1, 0, lambda: None)))

    assert len(finished) == len(parts)
    assert begun == [
        ("wiki_repository", 0),
        ("repository", 0),
        ("issues", 1),
        ("issues", 0),
        ("labels", 0),
        ("project", 0),
    ]
