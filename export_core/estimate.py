"""How large an archive will be and how long it takes, from what a plan knows before anything is read.

Rows count with the bytes that their relation usually has, files and packs with those they have on disk.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from export_core.source import Part

ROWS_RATIO = 5
"""To how much of their size JSON lines are compressed at level 1; measured 4.98."""
ROWS_A_SECOND = 80e6
"""Bytes of JSON lines that one worker reads and compresses, database on the same machine."""
BUNDLE_A_SECOND = 45e6
"""Bytes of a git bundle; git does it on one processor."""
FILES_A_SECOND = 200e6
"""Bytes of uploads and LFS objects that go straight into the archive."""
START = 1.0
"""Seconds before and after the work."""
BASIS = (
    f"rows: usual size of their relation, {ROWS_RATIO}:1 compressed, {ROWS_A_SECOND / 1e6:.0f} MB/s a worker;"
    f" repositories: size of their packs, {BUNDLE_A_SECOND / 1e6:.0f} MB/s;"
    f" files: their size, {FILES_A_SECOND / 1e6:.0f} MB/s; delivery not counted"
)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of a whole export."""

    archive_bytes: int
    seconds: float


def estimate(parts: Iterable[Part], workers: int) -> Estimate:
    """Bytes of the archive, and seconds until it is there."""
    rows, bundles, files = 0, [0], 0
    for part in parts:
        if part.deferred:
            files += part.weight
        elif (part.member or "").endswith(".bundle"):
            bundles.append(part.weight)
        else:
            rows += part.weight
    longest = max(bundles) / BUNDLE_A_SECOND
    shared = (sum(bundles) / BUNDLE_A_SECOND + rows / ROWS_A_SECOND) / workers
    seconds = START + max(longest, shared) + files / FILES_A_SECOND
    return Estimate(rows // ROWS_RATIO + sum(bundles) + files, round(seconds, 1))
