"""How an archive is put together: an ordered list of items, each of which yields compressed bytes.

Both ways of making an archive go along this list, so that they give the same bytes: ``archive.py`` writes
it to a file, ``archive_stream.py`` serves any part of it out of the segments.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from export_core import tarball
from export_core.compression import GZIP_HEADER, Piece, crc32_combine, gzip_trailer, make_piece
from export_core.errors import ExportFailed, RelationFailed
from export_core.segment import Segment
from export_core.source import Part, PartKey, Plan
from export_core.workspace import Workspace

Segments = Mapping[PartKey, Segment]
"""Finished segments by relation and part number."""


@dataclass(frozen=True, slots=True)
class ArchiveRequest:
    """What an archive is made of. ``mtime``: the members' time, in seconds."""

    job: int
    plan: Plan
    workspace: Workspace
    mtime: int
    level: int = 1
    free_segments: bool = True
    """Whether segments are deleted as soon as the archive durably holds their bytes."""


@dataclass(frozen=True, slots=True)
class Literal:
    """Bytes that are there already: headers and paddings."""

    piece: Piece

    @property
    def identity(self) -> bytes:
        """What tells it from another, for the digest of a layout."""
        return self.piece.data


@dataclass(frozen=True, slots=True)
class SegmentItem:
    """The bytes of a segment; they are copied."""

    segment: Segment
    member: str | None

    @property
    def identity(self) -> bytes:
        """What tells it from another, for the digest of a layout."""
        segment = self.segment
        return repr((*segment.key, segment.raw_size, segment.size, segment.crc32, segment.sha256)).encode()


@dataclass(frozen=True, slots=True)
class DeferredItem:
    """Files that are read from their place and compressed now."""

    part: Part

    @property
    def identity(self) -> bytes:
        """What tells it from another, for the digest of a layout."""
        return repr(self.part.key).encode()


Item = Literal | SegmentItem | DeferredItem


def assemble(request: ArchiveRequest, segments: Segments) -> list[Item]:
    """All items but the end, which depends on the raw length. A deferred part that has a segment is
    taken from there. Raises ExportFailed when a segment is not there at all.
    """
    plan, mtime, level = request.plan, request.mtime, request.level
    items: list[Item] = [Literal(Piece(GZIP_HEADER, 0, 0))]
    if plan.directories:
        headers = (tarball.directory_header(name, mtime) for name in plan.directories)
        items.append(Literal(make_piece(b"".join(headers), level)))
    for member, group in itertools.groupby(plan.parts, key=lambda part: part.member):
        parts = list(group)
        if member is None:
            items += (_loose_item(part, segments) for part in parts)
        else:
            items += _member_items(member, [_segment(part, segments) for part in parts], mtime, level)
    return items


def closing_bytes(raw_size: int, crc32: int, level: int) -> bytes:
    """What ends an archive of ``raw_size`` raw bytes: tar's end blocks and the gzip trailer."""
    end = make_piece(tarball.end_blocks(raw_size), level)
    crc = crc32_combine(crc32, end.crc32, end.raw_size)
    return end.data + gzip_trailer(crc, raw_size + end.raw_size)


def layout_digests(request: ArchiveRequest, items: Sequence[Item]) -> list[str]:
    """For each count n of items, from 0 to all: a digest that is equal when the first n are the same."""
    digest = hashlib.sha256(f"packmule archive, level {request.level}".encode())
    digests = [digest.hexdigest()]
    for item in items:
        identity = item.identity
        digest.update(b"%s %d\n" % (type(item).__name__.encode(), len(identity)))
        digest.update(identity)
        digests.append(digest.hexdigest())
    return digests


def _loose_item(part: Part, segments: Segments) -> Item:
    if part.deferred and part.key not in segments:
        return DeferredItem(part)
    segment = _segment(part, segments)
    if segment.raw_size % tarball.BLOCK:
        raise RelationFailed(part.relation, "its files do not fill whole tar blocks", part=part.number)
    return SegmentItem(segment, None)


def _member_items(member: str, segments: list[Segment], mtime: int, level: int) -> Iterator[Item]:
    size = sum(segment.raw_size for segment in segments)
    yield Literal(make_piece(tarball.file_header(member, size, mtime), level))
    yield from (SegmentItem(segment, member) for segment in segments)
    if filling := tarball.padding(size):
        yield Literal(make_piece(filling, level))


def _segment(part: Part, segments: Segments) -> Segment:
    segment = segments.get(part.key)
    if segment is None:
        raise ExportFailed(
            f"relation {part.relation} has no segment for part {part.number}", hint="run: packmule resume"
        )
    return segment
