"""Archives that are only streamed: the same bytes as the file, from any place, for many readers at once."""

from __future__ import annotations

import hashlib
import io
import random
from pathlib import Path

import pytest

from export_core.archive import write_archive
from export_core.archive_position import missing_parts
from export_core.archive_stream import FileArchive, SegmentArchive
from export_core.deferred import materialise
from export_core.errors import ExportFailed, Interrupted
from export_core.segment import Segment, SegmentDamaged, SegmentWriter, seal_segment

from .archive_parts import MTIME, Example, InlineExecutor, pool


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Example, dict[tuple[str, int], Segment], bytes]:
    """The example with every part staged, and the bytes of its archive as a file."""
    root = tmp_path_factory.mktemp("staged")
    example = Example(root / "stream")
    segments = example.segments()
    deferred = next(part for part in example.plan.parts if part.deferred)
    with SegmentWriter(example.request.workspace, deferred.relation, deferred.number) as writer:
        materialise(deferred, example.reader(), writer, mtime=MTIME)
        segment = writer.close()
    seal_segment(example.request.workspace, segment)
    segments[segment.key] = segment
    other = Example(root / "file")
    info = write_archive(other.request, other.segments(), other.tools(InlineExecutor()))
    return example, segments, Path(str(info.path)).read_bytes()


def test_the_stream_is_the_file(staged: tuple[Example, dict[tuple[str, int], Segment], bytes]) -> None:
    example, segments, expected = staged
    archive = SegmentArchive(example.request, segments, file_name="x.tar.gz")
    assert archive.open().read() == expected
    assert (archive.size, archive.sha256) == (len(expected), hashlib.sha256(expected).hexdigest())
    assert (archive.path, archive.file_name) == (None, "x.tar.gz")


def test_any_part_of_it_from_many_threads(
    staged: tuple[Example, dict[tuple[str, int], Segment], bytes],
) -> None:
    example, segments, expected = staged
    archive = SegmentArchive(example.request, segments, file_name="x.tar.gz")
    dice = random.Random(1)
    places = [(dice.randrange(len(expected) + 10), dice.choice([0, 1, 5000, 3 << 20])) for _ in range(60)]

    def read(place: tuple[int, int]) -> bytes:
        with archive.open(place[0]) as stream:
            return stream.read(place[1])

    with pool(4) as executor:
        for (offset, size), data in zip(places, executor.map(read, places), strict=True):
            assert data == expected[offset : offset + size]


def test_the_stream_seeks_as_a_file(staged: tuple[Example, dict[tuple[str, int], Segment], bytes]) -> None:
    """What HTTP and S3 clients do to learn a length and to start anew."""
    example, segments, expected = staged
    with SegmentArchive(example.request, segments, file_name="x").open(100) as stream:
        assert stream.tell() == 100
        assert stream.seek(0, io.SEEK_END) == len(expected)
        assert stream.read() == b""
        assert stream.seek(-8, io.SEEK_END) == len(expected) - 8
        assert stream.read() == expected[-8:]
        stream.seek(0)
        assert stream.read(10) == expected[:10]


def test_measuring_can_be_stopped(staged: tuple[Example, dict[tuple[str, int], Segment], bytes]) -> None:
    def stop() -> None:
        raise Interrupted("stop")

    archive = SegmentArchive(staged[0].request, staged[1], file_name="x")
    with pytest.raises(Interrupted):
        archive.measure(stop)
    assert archive.sha256 == hashlib.sha256(staged[2]).hexdigest()


def test_what_is_not_staged_or_damaged_is_named(tmp_path: Path) -> None:
    example = Example(tmp_path)
    segments = example.segments()
    with pytest.raises(ExportFailed, match="lfs_objects"):
        SegmentArchive(example.request, segments, file_name="x")
    example.request.workspace.chunk("issues", 0, 0).write_bytes(b"rubbish")
    with pytest.raises(SegmentDamaged, match="issues"):
        SegmentArchive(example.request, segments, file_name="x")
    example.request.workspace.chunk("issues", 0, 0).unlink()
    with pytest.raises(SegmentDamaged, match="issues"):
        SegmentArchive(example.request, segments, file_name="x")


def test_a_staged_part_counts_among_the_missing(
    staged: tuple[Example, dict[tuple[str, int], Segment], bytes], tmp_path: Path
) -> None:
    example, segments, _ = staged
    elsewhere = Example(tmp_path)
    only = {key: value for key, value in segments.items() if key[0] == "lfs_objects"} | elsewhere.segments()
    missing = missing_parts(elsewhere.request, only, {})
    assert [part.relation for part in missing] == ["lfs_objects"]
    assert missing_parts(example.request, segments, {}) == []


def test_a_local_file_is_such_an_archive_too(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    archive = FileArchive(tmp_path / "a", 10, "digest", "name.tar.gz")
    with archive.open(3) as stream:
        assert stream.read() == b"3456789"
    assert archive.path == str(tmp_path / "a")
