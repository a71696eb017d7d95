"""How an archive is cut for S3, and what of an upload is remembered. Pure: no network, no file.

The limits are S3's own ("Amazon S3 multipart upload limits", AWS's user guide): at most 10,000 parts, each
but the last at least 5 MiB and at most 5 GiB, an object at most 5 TiB.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

MIB = 1 << 20
SMALLEST_PART = 8 * MIB
MOST_PARTS = 10_000
LARGEST_OBJECT = 5 << 40
"""Bytes."""


@dataclass(frozen=True, slots=True)
class UploadPart:
    """A slice of the archive."""

    number: int
    """From 1, as S3 counts."""
    offset: int
    size: int


def part_size(archive_size: int) -> int:
    """Bytes of a part: the smallest power of two from 8 MiB on with which 10,000 parts suffice.

    It depends on the archive's size alone, so that a resumed upload cuts at the same places. Raises
    ValueError above 5 TiB.
    """
    if not 0 <= archive_size <= LARGEST_OBJECT:
        raise ValueError(f"{archive_size} bytes do not fit in one object of S3")
    size = SMALLEST_PART
    while size * MOST_PARTS < archive_size:
        size *= 2
    return size


def plan_parts(archive_size: int, size: int) -> tuple[UploadPart, ...]:
    """Cut an archive into parts of ``size`` bytes; the last one may be shorter."""
    starts = range(0, archive_size, size)
    return tuple(
        UploadPart(number, start, min(size, archive_size - start)) for number, start in enumerate(starts, 1)
    )


@dataclass(frozen=True, slots=True)
class UploadState:
    """What is kept as the job's checkpoint before the first byte leaves."""

    bucket: str
    key: str
    size: int
    sha256: str
    """Of the whole archive, in hex."""
    part_size: int | None = None
    """None: a single PUT."""
    upload_id: str | None = None
    """None until the server has named the multipart upload."""
    crc32: bool = False
    """Whether the server keeps CRC-32 checksums of this upload's parts."""

    @property
    def parts(self) -> tuple[UploadPart, ...]:
        """The upload's parts in order; none for a single PUT."""
        return plan_parts(self.size, self.part_size) if self.part_size else ()

    def is_of(self, other: UploadState) -> bool:
        """Whether both mean the same bytes at the same place, cut alike."""
        mine, its = self.to_json(), other.to_json()
        return all(mine[name] == its[name] for name in ("bucket", "key", "size", "sha256", "part_size"))

    def to_json(self) -> dict[str, Any]:
        """As kept in the checkpoint."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self | None:
        """From a checkpoint; None when it holds no upload."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value[name] for name in known & value.keys()}) if value.get("key") else None
