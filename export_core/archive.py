"""Joins segments into the archive: a copy, in which nothing is compressed a second time.

Every now and then the archive is made durable, then the place reached is recorded (the checkpoint), and
only then are the segments freed whose bytes it holds: so the disk never carries much more than one
archive, and a kill at any moment loses nothing. The archive is the same, byte for byte, however often
its making was interrupted.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from export_core.archive_position import Position, verified_prefix
from export_core.assembly import (
    ArchiveRequest,
    DeferredItem,
    Item,
    Literal,
    SegmentItem,
    Segments,
    assemble,
    closing_bytes,
    layout_digests,
)
from export_core.atomic import create_private, disk_errors, sync_directory, sync_file, write_all
from export_core.compression import crc32_combine
from export_core.deferred import DeferredStream
from export_core.delivery import Checkpoint
from export_core.errors import RelationFailed
from export_core.events import BytesMoved, Listener, ignore
from export_core.job import ArchiveInfo, Phase
from export_core.segment import SegmentDamaged, read_blocks
from export_core.source import Part, Reader

CHECKPOINT_MIN, CHECKPOINT_MAX = 1 << 20, 64 << 20
_CHECKPOINT_SHARE = 40
"""Checkpoints come every 40th of the archive: with chunks of a few per cent, and one checkpoint under way
while the next bytes are written, the disk then holds less than 1.1 archives at any time."""


class DeferredRecord(Protocol):
    """Told about deferred parts, whose work is done here and not by the workers of other parts."""

    def begin(self, part: Part) -> None:
        """A part is being read, from its beginning or from where an interrupted run stood."""
        ...

    def done(self, part: Part, work: DeferredWork) -> None:
        """The archive durably holds the whole part."""
        ...


@dataclass(frozen=True, slots=True)
class DeferredWork:
    """What a deferred part was: files, their raw bytes with tar headers, seconds of this run."""

    files: int
    bytes: int
    seconds: float


class NoRecord:
    """Records nothing."""

    def begin(self, part: Part) -> None:
        """Nothing."""

    def done(self, part: Part, work: DeferredWork) -> None:
        """Nothing."""


class NoCheckpoint:
    """Remembers nothing: an archive that is always made from the start."""

    def load(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def save(self, value: Mapping[str, Any]) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class ArchiveTools:
    """What makes an archive besides its contents. ``reader`` opens a reader for deferred parts; it is
    called at most once, in the caller's thread, and closed there.
    """

    executor: Executor
    reader: Callable[[], Reader]
    workers: int = 1
    checkpoint: Checkpoint = field(default_factory=NoCheckpoint)
    listener: Listener = ignore
    check_stop: Callable[[], None] = lambda: None
    record: DeferredRecord = field(default_factory=NoRecord)


def write_archive(request: ArchiveRequest, segments: Segments, tools: ArchiveTools) -> ArchiveInfo:
    """Write ``Workspace.archive``, durably, going on from the checkpoint when it holds.

    Raises RelationFailed for a deferred file that is not what was planned, SegmentDamaged (see
    ``archive_position.missing_parts``), ExportFailed when the disk does not take it, and what
    ``check_stop`` raises; after any of them the call can be repeated.
    """
    items = assemble(request, segments)
    with contextlib.ExitStack() as stack:
        stack.enter_context(disk_errors(f"write {request.workspace.archive}"))
        writer = _Writer(request, items, tools)
        stack.callback(writer.close)
        writer.resume()
        for number in range(writer.position.item, len(items)):
            writer.add(number, items[number])
        return writer.finish()


class _Writer:
    """The archive while it grows."""

    def __init__(self, request: ArchiveRequest, items: list[Item], tools: ArchiveTools) -> None:
        self._request, self._items, self._tools = request, items, tools
        self._layout = layout_digests(request, items)
        self._fd = -1
        self._digest = hashlib.sha256()
        self._reader: Reader | None = None
        self.position = Position()
        self._saved = 0
        self._sealing: Future[None] | None = None
        """The last checkpoint, while a worker thread makes it: the disk's time is not waited for."""
        self._done: list[Path] = []
        """Chunks that the archive holds, but perhaps not yet durably."""
        self._parts_done: list[tuple[Part, DeferredWork]] = []
        """Deferred parts of which the same is true."""
        self._segments_size = sum(item.segment.size for item in items if isinstance(item, SegmentItem))
        self._total = self._expected_size()

    def resume(self) -> None:
        """Open the archive at the checkpoint's place, or empty."""
        position = Position.from_json(self._tools.checkpoint.load())
        path = self._request.workspace.archive
        prefix = None
        if position and position.fits(self._layout):
            prefix = verified_prefix(path, position, self._tools.check_stop)
        if position is None or prefix is None:
            self._fd = create_private(path)
            sync_directory(path.parent)
            return
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        os.ftruncate(self._fd, position.offset)
        os.lseek(self._fd, position.offset, os.SEEK_SET)
        self._digest, self.position, self._saved = prefix, position, position.offset
        self._tell(position.offset)
        _free(self._held_chunks(position) if self._request.free_segments else ())

    def add(self, number: int, item: Item) -> None:
        """Append one item, or what is missing of it."""
        match item:
            case Literal(piece):
                self._append(piece.data)
                self._count(piece.raw_size, piece.crc32)
            case SegmentItem():
                self._copy(item)
                self._count(item.segment.raw_size, item.segment.crc32)
            case DeferredItem():
                self._compress(item)
        self.position = self.position.at_item(number + 1)
        if isinstance(item, SegmentItem):
            self._checkpoint_when_due()

    def finish(self) -> ArchiveInfo:
        """Write the end; free what is left of the segments."""
        self._checkpoint()
        self._sealed()
        place = self.position
        self._append(closing_bytes(place.raw_size, place.crc32, self._request.level))
        sync_file(self._fd)
        size = self.position.offset
        self._tools.listener(BytesMoved(self._request.job, Phase.ARCHIVING, size, size))
        return ArchiveInfo(str(self._request.workspace.archive), size, self._digest.hexdigest())

    def close(self) -> None:
        """Let the file and the reader go, when no checkpoint needs the file any more."""
        if self._sealing is not None:
            self._sealing.cancel()
            wait([self._sealing])
        if self._fd >= 0:
            os.close(self._fd)
        if self._reader:
            self._reader.close()

    def _copy(self, item: SegmentItem) -> None:
        segment = item.segment
        if not self.position.chunk:
            self.position = self.position.in_segment(0, start=self.position.offset)
        paths = segment.paths(self._request.workspace)
        for chunk in range(self.position.chunk, segment.chunks):
            self._copy_chunk(item, paths[chunk])
            self.position = self.position.in_segment(chunk + 1, start=self.position.segment_start)
            self._done.append(paths[chunk])
            if chunk + 1 < segment.chunks:
                self._checkpoint_when_due()
        if self.position.offset - self.position.segment_start != segment.size:
            raise SegmentDamaged(*segment.key, "its length is not what it was")

    def _copy_chunk(self, item: SegmentItem, path: Path) -> None:
        # Reading and writing megabytes is as fast as copy_file_range, measured, as the digest needs the
        # bytes in this process anyway.
        try:
            for block in read_blocks(path):
                self._tools.check_stop()
                hashing = self._tools.executor.submit(self._digest.update, block)
                try:
                    self._write(block)
                finally:
                    hashing.result()  # before the block changes
        except FileNotFoundError as exc:
            raise SegmentDamaged(*item.segment.key, f"{path.name} is missing") from exc

    def _compress(self, item: DeferredItem) -> None:
        if self._reader is None:
            self._reader = self._tools.reader()
        place, tools, begun = self.position, self._tools, time.monotonic()
        mtime, level = self._request.mtime, self._request.level
        tools.record.begin(item.part)
        stream = DeferredStream(item.part, self._reader, mtime=mtime, skip=place.deferred_done)
        if place.deferred_done and stream.listing_at_skip() != place.listing:
            raise RelationFailed(
                item.part.relation,
                "its files are not those of the interrupted run",
                hint="start the job afresh: packmule resume --restart",
            )
        pieces = stream.pieces(tools.executor, workers=tools.workers, level=level)
        with contextlib.closing(pieces):
            for read in pieces:
                tools.check_stop()
                self._append(read.piece.data)
                self._count(read.piece.raw_size, read.piece.crc32)
                self.position = self.position.in_deferred(read.piece.raw_size, read.listing)
                self._checkpoint_when_due()
        work = DeferredWork(stream.files, self.position.deferred_done, time.monotonic() - begun)
        self._parts_done.append((item.part, work))

    def _append(self, data: bytes) -> None:
        self._digest.update(data)
        self._write(data)

    def _write(self, data: bytes | memoryview) -> None:
        write_all(self._fd, data)
        before = self.position.offset
        self.position = self.position.moved(len(data))
        if before >> 20 != self.position.offset >> 20:
            self._tell(self.position.offset)

    def _tell(self, done: int) -> None:
        total = max(done, self._total) if self._total is not None else None
        self._tools.listener(BytesMoved(self._request.job, Phase.ARCHIVING, done, total))

    def _count(self, raw_size: int, crc32: int) -> None:
        place = self.position
        self.position = place.counted(raw_size, crc32_combine(place.crc32, crc32, raw_size))

    def _checkpoint_when_due(self) -> None:
        offset = self.position.offset
        due = min(CHECKPOINT_MAX, max(CHECKPOINT_MIN, max(self._segments_size, offset) // _CHECKPOINT_SHARE))
        if offset - self._saved >= due:
            self._checkpoint()

    def _checkpoint(self) -> None:
        self._sealed()
        place = self.position.sealed(self._digest.hexdigest(), self._layout)
        chunks = tuple(self._done) if self._request.free_segments else ()
        parts = tuple(self._parts_done)
        self._done.clear()
        self._parts_done.clear()
        self._saved = place.offset
        self._sealing = self._tools.executor.submit(self._seal, place, chunks, parts)

    def _sealed(self) -> None:
        """Wait for the checkpoint before: they are made one after the other, none after one that failed."""
        if self._sealing is not None:
            self._sealing.result()
            self._sealing = None

    def _seal(
        self, place: Position, chunks: tuple[Path, ...], parts: tuple[tuple[Part, DeferredWork], ...]
    ) -> None:
        sync_file(self._fd)
        self._tools.checkpoint.save(place.to_json())
        _free(chunks)
        for part, work in parts:
            self._tools.record.done(part, work)

    def _held_chunks(self, position: Position) -> Iterator[Path]:
        for number, item in enumerate(self._items[: position.item + 1]):
            if isinstance(item, SegmentItem):
                paths = item.segment.paths(self._request.workspace)
                yield from paths if number < position.item else paths[: position.chunk]

    def _expected_size(self) -> int | None:
        deferred = [item.part.weight for item in self._items if isinstance(item, DeferredItem)]
        return None if 0 in deferred else self._segments_size + sum(deferred)


def _free(chunks: Iterable[Path]) -> None:
    for path in chunks:
        path.unlink(missing_ok=True)
