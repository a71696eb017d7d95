"""Where the making of an archive stands, and what of an interrupted one can be trusted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from export_core.assembly import ArchiveRequest, Item, SegmentItem, Segments, assemble, layout_digests
from export_core.segment import Segment, check_segment, read_blocks
from export_core.source import Part

if TYPE_CHECKING:
    from hashlib import _Hash


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the archive at which its making can go on."""

    offset: int = 0
    """Bytes of the archive before it."""
    raw_size: int = 0
    """Raw bytes before it; in a segment: before the segment."""
    crc32: int = 0
    """Of those raw bytes."""
    item: int = 0
    """Number of the item that is written, or comes next."""
    chunk: int = 0
    """Chunks of that item's segment before it."""
    segment_start: int = 0
    """Offset at which that segment begins."""
    deferred_done: int = 0
    """Raw bytes of that item's deferred part before it."""
    listing: str = ""
    """Digest over the headers of that part's files up to here."""
    sha256: str = ""
    """Digest of the archive up to here; set when the place is recorded."""
    layout: str = ""
    """Digest of the items up to here (see ``assembly.layout_digests``); set when it is recorded."""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self | None:
        """From ``to_json``'s object; None when it is empty or not such an object."""
        try:
            return cls(**value) if value else None
        except TypeError:
            return None

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)

    def moved(self, size: int) -> Self:
        """``size`` bytes further on."""
        return replace(self, offset=self.offset + size)

    def counted(self, raw_size: int, crc32: int) -> Self:
        """With ``raw_size`` more raw bytes, and the checksum over all."""
        return replace(self, raw_size=self.raw_size + raw_size, crc32=crc32)

    def in_segment(self, chunk: int, *, start: int) -> Self:
        """Behind so many chunks of a segment."""
        return replace(self, chunk=chunk, segment_start=start)

    def in_deferred(self, raw_size: int, listing: str) -> Self:
        """With ``raw_size`` more bytes of a deferred part."""
        return replace(self, deferred_done=self.deferred_done + raw_size, listing=listing)

    def at_item(self, item: int) -> Self:
        """At the beginning of an item."""
        return replace(self, item=item, chunk=0, segment_start=0, deferred_done=0, listing="")

    def sealed(self, sha256: str, layout: Sequence[str]) -> Self:
        """Ready to be recorded."""
        return replace(self, sha256=sha256, layout=layout[self._begun])

    def fits(self, layout: Sequence[str]) -> bool:
        """Whether the archive up to here has the items that ``layout`` says."""
        return self._begun < len(layout) and layout[self._begun] == self.layout

    @property
    def _begun(self) -> int:
        """Number of items of which anything lies before this place."""
        return self.item + bool(self.chunk or self.deferred_done)


def verified_prefix(path: Path, position: Position, check_stop: Callable[[], None]) -> _Hash | None:
    """The running digest of a partial archive up to ``position``; None when it is not what it was."""
    digest, left = hashlib.sha256(), position.offset
    try:
        for block in read_blocks(path):
            check_stop()
            digest.update(block[:left])
            left -= len(block[:left])
            if not left:
                break
    except FileNotFoundError:
        return None
    return digest if not left and digest.hexdigest() == position.sha256 else None


def missing_parts(
    request: ArchiveRequest,
    segments: Segments,
    checkpoint: Mapping[str, Any],
    check_stop: Callable[[], None] = lambda: None,
) -> list[Part]:
    """The parts that have to be done (again) before the archive can be made or go on.

    Those are the parts whose segment is missing or damaged and whose bytes are not safe in a partial
    archive that still is what ``checkpoint`` says. Reads all of both. A deferred part counts only when
    ``segments`` has it (it was staged, for an archive that is only streamed).
    """
    wanted = [part for part in request.plan.parts if not part.deferred or part.key in segments]
    lost = [part for part in wanted if part.key not in segments]
    if lost:  # then no archive can have been begun
        return [part for part in wanted if part in lost or not _sound(request, segments, part, check_stop)]
    items = assemble(request, segments)
    position = Position.from_json(checkpoint)
    if position is None or not _usable(request, items, position, check_stop):
        return [part for part in wanted if not _sound(request, segments, part, check_stop)]
    held = {item.segment.key for item in items[: position.item] if isinstance(item, SegmentItem)}
    begun = _begun_segment(request, items, position)
    if begun:
        held.add(begun.key)
    damaged = [
        part for part in wanted if part.key not in held and not _sound(request, segments, part, check_stop)
    ]
    # Redone, a part may have another length than the one that the archive already tells of its member.
    spoilt = any(part.member in _begun_members(items, position) for part in damaged)
    if spoilt or (position.chunk and not begun):
        return [part for part in wanted if not _sound(request, segments, part, check_stop)]
    return damaged


def _sound(request: ArchiveRequest, segments: Segments, part: Part, check_stop: Callable[[], None]) -> bool:
    check_stop()
    return check_segment(request.workspace, segments[part.key])


def _usable(
    request: ArchiveRequest, items: Sequence[Item], position: Position, check_stop: Callable[[], None]
) -> bool:
    if not position.fits(layout_digests(request, items)):
        return False
    return verified_prefix(request.workspace.archive, position, check_stop) is not None


def _begun_segment(request: ArchiveRequest, items: Sequence[Item], position: Position) -> Segment | None:
    """The segment of which some chunks are in the archive, when the others still are as they were."""
    item = items[position.item] if position.item < len(items) else None
    if not isinstance(item, SegmentItem) or not position.chunk:
        return None
    digest, skip = hashlib.sha256(), position.segment_start
    left = position.offset - position.segment_start
    for block in read_blocks(request.workspace.archive):
        mine = block[skip : skip + left]
        skip -= min(skip, len(block))
        left -= len(mine)
        digest.update(mine)
    try:
        for path in item.segment.paths(request.workspace)[position.chunk :]:
            for block in read_blocks(path):
                digest.update(block)
    except OSError:
        return None
    return item.segment if digest.hexdigest() == item.segment.sha256 else None


def _begun_members(items: Sequence[Item], position: Position) -> set[str]:
    begun = items[: position.item + 1] if position.chunk else items[: position.item]
    return {item.member for item in begun if isinstance(item, SegmentItem) and item.member is not None}
