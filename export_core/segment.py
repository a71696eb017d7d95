"""Segments: the finished, compressed bytes of one part, in the job's work directory.

A segment is a run of chunk files, so that it can be freed bit by bit while the archive grows. They have
temporary names until ``seal_segment`` has made them durable, so that nothing half-written is taken for
finished. Sealing is a step of its own because it waits for the disk: a worker goes on with the next part
meanwhile.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from export_core import compression, tarball
from export_core.atomic import (
    create_private,
    disk_errors,
    private_directory,
    sync_directory,
    sync_file,
    write_all,
)
from export_core.errors import ExportFailed
from export_core.source import PartKey
from export_core.workspace import Workspace

CHUNK_MIN, CHUNK_MAX = 3 << 20, 128 << 20
_CHUNK_SHARE = 16
_READ_BLOCK = 1 << 20


class SegmentDamaged(ExportFailed):
    """A finished segment is missing or not what it was; its part has to be done again."""

    def __init__(self, relation: str, part: int, what: str) -> None:
        super().__init__(
            f"the segment of {relation} (part {part}) is damaged: {what}",
            hint="run: packmule resume (it does this part again)",
        )
        self.relation = relation
        self.part = part


@dataclass(frozen=True, slots=True)
class Segment:
    """What is recorded of a finished segment. Sizes in bytes; ``sha256`` is of the compressed bytes."""

    relation: str
    part: int
    chunks: int
    raw_size: int
    size: int
    crc32: int
    """Of the raw bytes."""
    sha256: str
    lines: int = 0
    warnings: tuple[str, ...] = ()
    content: str = ""
    """Digest over names and bytes of the whole files in it, which tar headers with their time are not part
    of; empty for a part that has no files of its own."""

    @property
    def key(self) -> PartKey:
        """Relation and number, as a plan names the part."""
        return self.relation, self.part

    def paths(self, workspace: Workspace) -> list[Path]:
        """Its chunk files in order."""
        return [workspace.chunk(self.relation, self.part, number) for number in range(self.chunks)]

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self) | {"warnings": list(self.warnings)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """From ``to_json``'s object."""
        return cls(**{**value, "warnings": tuple(value.get("warnings", ()))})


def check_segment(workspace: Workspace, segment: Segment) -> bool:
    """Whether all chunks are there with the right length and digest. Reads the whole segment."""
    digest, size = hashlib.sha256(), 0
    try:
        for path in segment.paths(workspace):
            for block in read_blocks(path):
                digest.update(block)
                size += len(block)
    except OSError:
        return False
    return size == segment.size and digest.hexdigest() == segment.sha256


def seal_segment(workspace: Workspace, segment: Segment) -> None:
    """Make a closed segment durable, under its final names. Raises ExportFailed when the disk fails."""
    chunks = segment.paths(workspace)
    with _writing(segment.relation, segment.part):
        for chunk in chunks[-1:]:  # the others were full, and synced then
            fd = os.open(_temporary(chunk), os.O_RDONLY | os.O_CLOEXEC)
            try:
                sync_file(fd)
            finally:
                os.close(fd)
        for chunk in chunks:
            _temporary(chunk).rename(chunk)
        sync_directory(workspace.segments)


def remove_segment(workspace: Workspace, relation: str, part: int) -> None:
    """Remove a part's chunks, finished or not, of this or an earlier attempt."""
    number = 0
    found = True
    while found:
        chunk = workspace.chunk(relation, part, number)
        found = False
        for path in (chunk, _temporary(chunk)):
            if path.exists():
                path.unlink()
                found = True
        number += 1


def read_blocks(path: Path) -> Iterator[memoryview]:
    """A file in large blocks. Each block is valid until the next is asked for."""
    buffer = memoryview(bytearray(_READ_BLOCK))
    with path.open("rb", buffering=0) as stream:
        while count := stream.readinto(buffer):
            yield buffer[:count]


def _temporary(chunk: Path) -> Path:
    return chunk.with_name(chunk.name + ".tmp")


def _writing(relation: str, part: int) -> AbstractContextManager[None]:
    return disk_errors(f"write the segment of {relation} (part {part})")


def _never() -> None:
    """Never stop."""


class SegmentWriter:
    """The sink of one part: cuts, compresses and stores what a reader writes. For one thread.

    Raises ExportFailed when the disk does not take it. ``mtime`` (seconds) goes into the tar headers of
    ``file``. As a context manager it removes everything unless ``close`` was reached.
    """

    def __init__(
        self,
        workspace: Workspace,
        relation: str,
        part_number: int,
        *,
        level: int = compression.DEFAULT_LEVEL,
        mtime: int = 0,
        check_stop: Callable[[], None] = _never,
    ) -> None:
        self._workspace, self._relation, self._part = workspace, relation, part_number
        self._level, self._mtime = level, mtime
        self.check_stop = check_stop
        self._cutter = compression.PieceCutter()
        self._digest = hashlib.sha256()
        self._content: hashlib._Hash | None = None
        self._crc = self._raw_size = self._size = self._lines = self._chunks = 0
        self._warnings: list[str] = []
        self._fd: int | None = None
        self._room = 0
        self._closed = False
        with disk_errors(f"prepare {workspace.segments}"):
            private_directory(workspace.segments)
            remove_segment(workspace, relation, part_number)

    def write(self, data: bytes | memoryview) -> None:
        """Append to the part's raw stream."""
        for piece in self._cutter.feed(data):
            self._store(piece)

    def file(self, name: str, data: bytes) -> None:
        """Append a whole file with its tar header and padding."""
        self.write(tarball.file_header(name, len(data), self._mtime))
        self.write(data)
        self.write(tarball.padding(len(data)))
        self._content = self._content or hashlib.sha256()
        self._content.update(tarball.file_header(name, len(data), 0))
        self._content.update(data)

    def lines(self, count: int) -> None:
        """Count records."""
        self._lines += count

    def warn(self, message: str) -> None:
        """Keep a warning with the segment."""
        self._warnings.append(message)

    @property
    def line_count(self) -> int:
        """Records that were counted so far."""
        return self._lines

    @property
    def raw_size(self) -> int:
        """Raw bytes that were compressed so far."""
        return self._raw_size

    def close(self) -> Segment:
        """End the part and say what it is; ``seal_segment`` has still to make it durable."""
        if rest := self._cutter.rest():
            self._store(rest)
        with _writing(self._relation, self._part):
            self._end_chunk()
        self._closed = True
        return Segment(
            relation=self._relation,
            part=self._part,
            chunks=self._chunks,
            raw_size=self._raw_size,
            size=self._size,
            crc32=self._crc,
            sha256=self._digest.hexdigest(),
            lines=self._lines,
            warnings=tuple(self._warnings),
            content=self._content.hexdigest() if self._content else "",
        )

    def abort(self) -> None:
        """Remove whatever was written. May be called more than once, and after ``close`` (nothing then)."""
        if self._closed:
            return
        self._closed = True
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        remove_segment(self._workspace, self._relation, self._part)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def _store(self, raw: bytes | memoryview) -> None:
        packed = compression.compress(raw, self._level)
        self._crc = compression.crc32(raw, self._crc)
        self._raw_size += len(raw)
        self._digest.update(packed)
        with _writing(self._relation, self._part):
            if self._fd is None:
                self._begin_chunk()
            assert self._fd is not None  # noqa: S101
            write_all(self._fd, packed)
            self._size += len(packed)
            self._room -= len(packed)
            if self._room <= 0:
                sync_file(self._fd)
                self._end_chunk()

    def _begin_chunk(self) -> None:
        # Chunks grow with the segment: small enough to be freed in steps of a few per cent of the
        # archive, few enough that a segment of 100 GB is a thousand files.
        self._room = min(CHUNK_MAX, max(CHUNK_MIN, self._size // _CHUNK_SHARE))
        self._fd = create_private(_temporary(self._path(self._chunks)))

    def _end_chunk(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
            self._chunks += 1

    def _path(self, chunk: int) -> Path:
        return self._workspace.chunk(self._relation, self._part, chunk)
