"""Files that go from their place straight into the archive: read ahead, checked, never staged.

The raw stream of a deferred part is what ``SegmentWriter.file`` would make of the same files, so that the
bytes of the archive do not depend on whether a part was staged.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor, Future
from contextlib import closing
from dataclasses import dataclass
from typing import BinaryIO

from export_core import tarball
from export_core.compression import PIECE_SIZE, Piece, PieceCutter, make_piece
from export_core.errors import RelationFailed
from export_core.segment import SegmentWriter
from export_core.source import ArchiveFile, Part, Reader

_AHEAD_FILES = 32
"""Small files a worker opens ahead: opening is what costs where they lie on a network."""


@dataclass(frozen=True, slots=True)
class ReadPiece:
    """A compressed piece of a deferred part, and the digest of the tar headers up to its end."""

    piece: Piece
    listing: str


def file_blocks(relation: str, file: ArchiveFile) -> Iterator[bytes]:
    """The bytes of a file, checked against its size and digest. Raises RelationFailed, naming it."""
    digest = hashlib.sha256() if file.sha256 else None
    try:
        with file.open() as stream:
            for block in _exactly(stream, file.size, lambda what: _fault(relation, file, what)):
                if digest:
                    digest.update(block)
                yield block
    except OSError as exc:
        said = f"{exc.filename}: {exc.strerror}" if exc.filename else exc.strerror or exc
        raise _fault(relation, file, f"cannot be read: {said}") from exc
    if digest and digest.hexdigest() != file.sha256:
        raise _fault(relation, file, f"has the sha256 {digest.hexdigest()}, expected {file.sha256}")


def _exactly(stream: BinaryIO, size: int, fault: Callable[[str], RelationFailed]) -> Iterator[bytes]:
    done = 0
    while block := stream.read(min(PIECE_SIZE, size - done + 1)):
        done += len(block)
        if done > size:
            raise fault(f"is longer than the expected {size} bytes")
        yield block
    if done < size:
        raise fault(f"ends after {done} of {size} bytes")


def _fault(relation: str, file: ArchiveFile, what: str) -> RelationFailed:
    return RelationFailed(
        relation,
        f"the file {file.name} {what}",
        hint=f"repair or restore the file and resume; packmule resume --restart lists the files anew,"
        f" --skip {relation} leaves them out",
    )


def materialise(part: Part, reader: Reader, writer: SegmentWriter, *, mtime: int) -> None:
    """Write the files of a deferred part into a segment, for an archive that is only streamed."""
    for file in reader.files(part):
        writer.check_stop()
        writer.write(tarball.file_header(file.name, file.size, mtime))
        for block in file_blocks(part.relation, file):
            writer.check_stop()
            writer.write(block)
        writer.write(tarball.padding(file.size))
        writer.lines(1)


def measure(part: Part, reader: Reader, *, mtime: int) -> tuple[int, int]:
    """How many files a deferred part has, and the raw bytes that they make. Opens none of them."""
    sizes = [_entry_size(tarball.file_header(f.name, f.size, mtime), f) for f in reader.files(part)]
    return len(sizes), sum(sizes)


class DeferredStream:
    """The compressed pieces of a deferred part, in order, made by worker threads in a bounded window.

    ``skip`` raw bytes (whole pieces) were written before an interruption. ``listing`` is the digest over
    the headers of all files begun before that place: when it differs from the earlier one, the files are
    not the same any more.
    """

    def __init__(self, part: Part, reader: Reader, *, mtime: int, skip: int = 0) -> None:
        self._part, self._reader, self._mtime, self._skip = part, reader, mtime, skip
        self._headers = hashlib.sha256()
        self.files = 0
        """Files that were begun or skipped so far."""

    def pieces(self, executor: Executor, *, workers: int, level: int) -> Generator[ReadPiece]:
        """All pieces behind ``skip``. At most 2 a worker, and as much read ahead, are held in memory."""
        window: deque[tuple[Future[Piece], str]] = deque()
        try:
            for raw in self._cut(executor, workers):
                window.append((executor.submit(make_piece, raw, level), self._headers.hexdigest()))
                if len(window) > 2 * workers:
                    yield _finished(*window.popleft())
            while window:
                yield _finished(*window.popleft())
        finally:
            for future, _ in window:
                future.cancel()

    def listing_at_skip(self) -> str:
        """The digest over the headers of the files begun before ``skip``."""
        digest, place = hashlib.sha256(), 0
        for file in self._reader.files(self._part):
            if place >= self._skip:
                break
            header = tarball.file_header(file.name, file.size, self._mtime)
            digest.update(header)
            place += _entry_size(header, file)
        return digest.hexdigest()

    def _cut(self, executor: Executor, workers: int) -> Iterator[bytes | memoryview]:
        cutter = PieceCutter()
        with closing(self._blocks(executor, workers)) as blocks:
            for block in blocks:
                yield from cutter.feed(block)
        if rest := cutter.rest():
            yield rest

    def _blocks(self, executor: Executor, workers: int) -> Generator[bytes | memoryview]:
        drop = self._skip
        with closing(self._entries(executor, workers)) as entries:
            for header, file, whole in entries:
                self._headers.update(header)
                self.files += 1
                if drop >= (size := _entry_size(header, file)):
                    drop -= size
                    continue
                for block in self._entry_blocks(header, file, whole):
                    if drop < len(block):
                        yield memoryview(block)[drop:] if drop else block
                    drop = max(0, drop - len(block))

    def _entry_blocks(self, header: bytes, file: ArchiveFile, whole: Future[bytes] | None) -> Iterator[bytes]:
        yield header
        if whole is None:
            yield from file_blocks(self._part.relation, file)
        else:
            yield whole.result()
        yield tarball.padding(file.size)

    def _entries(
        self, executor: Executor, workers: int
    ) -> Generator[tuple[bytes, ArchiveFile, Future[bytes] | None]]:
        """Headers and files in order; small ones are already being read by the workers."""
        ahead: deque[tuple[bytes, ArchiveFile, Future[bytes] | None]] = deque()
        held = place = 0
        try:
            for file in self._reader.files(self._part):
                header = tarball.file_header(file.name, file.size, self._mtime)
                place += _entry_size(header, file)
                small = file.size <= PIECE_SIZE and place > self._skip
                whole = executor.submit(_whole_file, self._part.relation, file) if small else None
                ahead.append((header, file, whole))
                held += file.size if small else PIECE_SIZE
                while held > workers * PIECE_SIZE or len(ahead) > workers * _AHEAD_FILES:
                    first = ahead.popleft()
                    held -= first[1].size if first[2] else PIECE_SIZE
                    yield first
            while ahead:
                yield ahead.popleft()
        finally:
            for _, _, future in ahead:
                if future:
                    future.cancel()


def _finished(future: Future[Piece], listing: str) -> ReadPiece:
    return ReadPiece(future.result(), listing)


def _whole_file(relation: str, file: ArchiveFile) -> bytes:
    return b"".join(file_blocks(relation, file))


def _entry_size(header: bytes, file: ArchiveFile) -> int:
    return len(header) + file.size + len(tarball.padding(file.size))
