"""Finished archives that can be measured and read from any place, also ones that never were one file.

Both classes are archives as ``export_core.delivery`` wants them.
"""

from __future__ import annotations

import bisect
import hashlib
import io
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from export_core.assembly import (
    ArchiveRequest,
    DeferredItem,
    Item,
    Literal,
    SegmentItem,
    Segments,
    assemble,
    closing_bytes,
)
from export_core.compression import crc32_combine
from export_core.errors import ExportFailed
from export_core.segment import SegmentDamaged

_BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class FileArchive:
    """An archive that is a local file."""

    local_path: Path
    size: int
    sha256: str
    file_name: str

    @property
    def path(self) -> str | None:
        """Where it lies."""
        return str(self.local_path)

    def open(self, offset: int = 0) -> BinaryIO:
        """A stream of its bytes from ``offset``."""
        stream = self.local_path.open("rb", buffering=_BUFFER)
        stream.seek(offset)
        return stream


class SegmentArchive:
    """An archive that is only its segments: the same bytes as ``write_archive`` would give.

    Deferred parts must have been staged (``deferred.materialise``). The segments must stay where they
    are; ``sha256`` is the digest where it is known already. Raises ExportFailed and SegmentDamaged when
    they are not all there.
    """

    def __init__(
        self, request: ArchiveRequest, segments: Segments, *, file_name: str, sha256: str | None = None
    ) -> None:
        self.file_name = file_name
        self.path: str | None = None
        self._extents: list[Path | bytes] = []
        self._starts: list[int] = []
        self.size = 0
        self._sha256 = sha256
        self._lock = threading.Lock()
        raw_size = crc = 0
        for item in assemble(request, segments):
            added, added_crc = self._add(request, item)
            crc = crc32_combine(crc, added_crc, added)
            raw_size += added
        self._extend(closing_bytes(raw_size, crc, request.level), None)

    @property
    def sha256(self) -> str:
        """Digest of the whole archive, in hex; the first use reads all segments."""
        return self.measure(lambda: None)

    def measure(self, check_stop: Callable[[], None]) -> str:
        """The digest, with a chance to stop while it is computed."""
        with self._lock:
            if self._sha256 is None:
                digest = hashlib.sha256()
                with self.open() as stream:
                    while block := stream.read(_BUFFER):
                        check_stop()
                        digest.update(block)
                self._sha256 = digest.hexdigest()
            return self._sha256

    def open(self, offset: int = 0) -> BinaryIO:
        """A seekable stream of its bytes from ``offset``; any number at once, from any thread."""
        stream = io.BufferedReader(_ExtentStream(self._starts, self._extents, self.size), _BUFFER)
        stream.seek(offset)
        return stream

    def _add(self, request: ArchiveRequest, item: Item) -> tuple[int, int]:
        """Append an item; its raw length and checksum."""
        match item:
            case Literal(piece):
                self._extend(piece.data, None)
                return piece.raw_size, piece.crc32
            case SegmentItem(segment):
                before = self.size
                for path in segment.paths(request.workspace):
                    self._extend(path, segment.key)
                if self.size - before != segment.size:
                    raise SegmentDamaged(*segment.key, "its length is not what it was")
                return segment.raw_size, segment.crc32
            case DeferredItem(part):
                raise ExportFailed(f"the files of {part.relation} (part {part.number}) were not staged")

    def _extend(self, extent: Path | bytes, key: tuple[str, int] | None) -> None:
        self._starts.append(self.size)
        self._extents.append(extent)
        if isinstance(extent, bytes):
            self.size += len(extent)
            return
        try:
            self.size += extent.stat().st_size
        except FileNotFoundError as exc:
            raise SegmentDamaged(*(key or ("?", 0)), f"{extent.name} is missing") from exc


class _ExtentStream(io.RawIOBase):
    """Reads extents, which are bytes or whole files, one after the other."""

    def __init__(self, starts: list[int], extents: list[Path | bytes], size: int) -> None:
        self._starts, self._extents, self._size = starts, extents, size
        self._place = 0
        self._number = -1
        self._current: io.FileIO | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._place >= self._size:
            return 0
        number = bisect.bisect_right(self._starts, self._place) - 1
        inside = self._place - self._starts[number]
        extent = self._extents[number]
        count = self._from_bytes(extent, inside, buffer) if isinstance(extent, bytes) else 0
        if isinstance(extent, Path):
            count = self._from_file(number, extent, inside, buffer)
        self._place += count
        return count

    def close(self) -> None:
        self._drop()
        super().close()

    def _from_bytes(self, extent: bytes, inside: int, buffer: memoryview) -> int:
        data = extent[inside : inside + len(buffer)]
        buffer[: len(data)] = data
        return len(data)

    def _from_file(self, number: int, path: Path, inside: int, buffer: memoryview) -> int:
        if number != self._number or self._current is None:
            self._drop()
            self._current, self._number = path.open("rb", buffering=0), number
        assert self._current is not None  # noqa: S101
        self._current.seek(inside)
        count = self._current.readinto(buffer)
        if not count:
            raise ExportFailed(f"{path} became shorter while it was read", hint="run: packmule resume")
        return count

    def _drop(self) -> None:
        if self._current:
            self._current.close()
            self._current = None
