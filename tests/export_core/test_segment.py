"""Segments: what was written can be read, checked, recorded and removed; nothing half-written counts."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import zlib
from pathlib import Path

import pytest

from export_core import segment as segment_module
from export_core.compression import PIECE_SIZE
from export_core.errors import ExportFailed, Interrupted
from export_core.segment import Segment, SegmentWriter, check_segment, remove_segment, seal_segment
from export_core.workspace import Workspace

from .archive_parts import ndjson, noise


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "jobs" / "1")


def write(workspace: Workspace, *blocks: bytes) -> Segment:
    with SegmentWriter(workspace, "issues", 3) as writer:
        for block in blocks:
            writer.write(block)
        segment = writer.close()
    seal_segment(workspace, segment)
    return segment


def compressed(workspace: Workspace, segment: Segment) -> bytes:
    return b"".join(path.read_bytes() for path in segment.paths(workspace))


def names(workspace: Workspace) -> list[str]:
    return sorted(path.name for path in workspace.segments.iterdir())


def test_a_segment_is_what_it_says(workspace: Workspace) -> None:
    blocks = [ndjson(4000), b"", b"short", noise(3 * PIECE_SIZE, 1), b"end"]
    segment = write(workspace, *blocks)
    packed, raw = compressed(workspace, segment), b"".join(blocks)
    assert zlib.decompressobj(-15).decompress(packed) == raw
    assert segment.raw_size == len(raw)
    assert segment.size == len(packed)
    assert segment.crc32 == zlib.crc32(raw)
    assert segment.sha256 == hashlib.sha256(packed).hexdigest()
    assert check_segment(workspace, segment)


def test_bytes_do_not_depend_on_how_they_were_written(workspace: Workspace) -> None:
    raw = ndjson(30_000)
    whole = write(workspace, raw)
    lines = write(workspace, *raw.splitlines(keepends=True))
    assert whole == lines


def test_big_segments_are_chunks_that_grow(workspace: Workspace) -> None:
    """No chunk is a large share of its segment, and there are few of them."""
    block = noise(8 * PIECE_SIZE, 2)
    segment = write(workspace, *[block] * 10)
    sizes = [path.stat().st_size for path in segment.paths(workspace)]
    assert sum(sizes) == segment.size
    assert max(sizes) < segment.size / 10
    assert segment.chunks <= 40


def test_an_empty_part_has_no_chunk(workspace: Workspace) -> None:
    segment = write(workspace)
    assert (segment.chunks, segment.size, segment.raw_size, segment.crc32) == (0, 0, 0, 0)
    assert check_segment(workspace, segment)


def test_lines_and_warnings_go_through_json(workspace: Workspace) -> None:
    with SegmentWriter(workspace, "notes", 0) as writer:
        writer.lines(3)
        writer.lines(4)
        writer.warn("one was odd")
        segment = writer.close()
    again = Segment.from_json(json.loads(json.dumps(segment.to_json())))
    assert again == segment
    assert (again.lines, again.warnings) == (7, ("one was odd",))


def test_private_whatever_the_umask(workspace: Workspace) -> None:
    old = os.umask(0o277)
    try:
        segment = write(workspace, b"data")
    finally:
        os.umask(old)
    assert stat.S_IMODE(segment.paths(workspace)[0].stat().st_mode) == 0o600
    assert stat.S_IMODE(workspace.segments.stat().st_mode) == 0o700
    assert stat.S_IMODE(workspace.root.parent.stat().st_mode) == 0o700


def test_nothing_has_its_name_before_it_is_sealed(workspace: Workspace) -> None:
    with SegmentWriter(workspace, "issues", 3) as writer:
        writer.write(noise(5 * PIECE_SIZE, 3))
        segment = writer.close()
    assert names(workspace)
    assert all(name.endswith(".tmp") for name in names(workspace))
    assert not check_segment(workspace, segment)
    seal_segment(workspace, segment)
    assert not any(name.endswith(".tmp") for name in names(workspace))
    assert check_segment(workspace, segment)


def test_every_byte_is_on_the_disk_before_a_segment_has_its_names(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks that are full are synced at once, the last one and the directory when it is sealed."""
    acts: list[str] = []
    real_sync, real_rename = segment_module.sync_file, Path.rename

    def sync(fd: int) -> None:
        inode = os.fstat(fd).st_ino
        synced = next(path for path in workspace.segments.iterdir() if path.stat().st_ino == inode)
        acts.append(f"sync {synced.name}")
        real_sync(fd)

    def rename(path: Path, target: Path) -> Path:
        acts.append(f"rename {path.name}")
        return real_rename(path, target)

    monkeypatch.setattr(segment_module, "sync_file", sync)
    monkeypatch.setattr(Path, "rename", rename)
    monkeypatch.setattr(segment_module, "sync_directory", lambda path: acts.append(f"sync {path.name}"))
    segment = write(workspace, noise(5 * PIECE_SIZE, 3))
    chunks = [f"{path.name}.tmp" for path in segment.paths(workspace)]
    assert len(chunks) == 2
    assert acts == [
        *(f"sync {chunk}" for chunk in chunks),
        *(f"rename {chunk}" for chunk in chunks),
        f"sync {workspace.segments.name}",
    ]


def test_aborting_twice_is_aborting_once(workspace: Workspace) -> None:
    writer = SegmentWriter(workspace, "issues", 3)
    writer.write(noise(5 * PIECE_SIZE, 3))
    writer.abort()
    writer.abort()
    assert names(workspace) == []


def test_an_error_leaves_nothing(workspace: Workspace) -> None:
    def fail() -> None:
        with SegmentWriter(workspace, "issues", 3) as writer:
            writer.write(noise(5 * PIECE_SIZE, 3))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert names(workspace) == []


def test_a_shorter_second_attempt_replaces_all_of_the_first(workspace: Workspace) -> None:
    write(workspace, noise(6 * PIECE_SIZE, 4))
    (workspace.segments / "issues.3.0.tmp").write_bytes(b"left by a kill")
    (workspace.segments / "issues.30.0").write_bytes(b"another part")
    segment = write(workspace, b"short")
    assert names(workspace) == ["issues.3.0", "issues.30.0"]
    assert check_segment(workspace, segment)


@pytest.mark.parametrize("damage", ["flip", "cut", "grow", "remove"])
def test_damage_is_seen(workspace: Workspace, damage: str) -> None:
    segment = write(workspace, noise(6 * PIECE_SIZE, 5))
    path = segment.paths(workspace)[-1]
    data = path.read_bytes()
    if damage == "remove":
        path.unlink()
    else:
        changed = {"flip": data[:-1] + bytes([data[-1] ^ 1]), "cut": data[:-1], "grow": data + b"x"}
        path.write_bytes(changed[damage])
    assert not check_segment(workspace, segment)


def test_removing_takes_all_chunks_of_the_part_alone(workspace: Workspace) -> None:
    write(workspace, noise(6 * PIECE_SIZE, 6))
    (workspace.segments / "issues.33.0").write_bytes(b"another part")
    remove_segment(workspace, "issues", 3)
    assert names(workspace) == ["issues.33.0"]


def test_a_full_disk_is_one_clear_error(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(segment_module, "write_all", full)
    with pytest.raises(ExportFailed, match=r"issues \(part 3\): No space left") as caught:
        write(workspace, noise(2 * PIECE_SIZE, 7))
    assert "resume" in (caught.value.hint or "")
    assert names(workspace) == []


def test_stop_reaches_the_reader(workspace: Workspace) -> None:
    def stop() -> None:
        raise Interrupted("stopped")

    with pytest.raises(Interrupted), SegmentWriter(workspace, "issues", 0, check_stop=stop) as writer:
        writer.check_stop()
