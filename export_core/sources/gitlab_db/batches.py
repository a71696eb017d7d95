"""How a relation's rows are cut: parts for workers and resuming, batches for one statement.

Both are cut by the snapshot alone. A part is several batches: large enough that its file and its mark in the
job store cost nothing beside it, small enough that the last one does not leave the other workers idle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

DIFF_BATCH_BYTES = 16 << 20
"""Diffs of the merge requests of one statement; together they pass through PostgreSQL's and our memory."""
BATCH_BYTES = 8 << 20
"""Lines of one statement, as far as the rows before tell their length; they are held three times over."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Rows of a part and of a batch, and the bytes that one row usually makes."""

    part: int
    batch: int
    row_bytes: int


_CUTS = {
    "issues": Cut(part=1000, batch=500, row_bytes=9_000),
    "merge_requests": Cut(part=250, batch=125, row_bytes=30_000),
    "ci_pipelines": Cut(part=500, batch=250, row_bytes=8_000),
    "vulnerabilities": Cut(part=2000, batch=500, row_bytes=4_000),
    "commit_notes": Cut(part=4000, batch=1000, row_bytes=1_000),
    "snippets": Cut(part=500, batch=250, row_bytes=5_000),
}
_USUAL = Cut(part=4000, batch=1000, row_bytes=500)


def cut_of(relation: str) -> Cut:
    """How a relation is cut."""
    return _CUTS.get(relation, _USUAL)


def as_text(ids: Iterable[int]) -> str:
    """Ids as a part's payload holds them: a list of numbers takes six times the memory."""
    return ",".join(map(str, ids))


def ids_in(listed: str) -> list[int]:
    """The ids of a part's payload."""
    return [int(id) for id in listed.split(",")] if listed else []


def in_batches(ids: Sequence[int], size: int) -> Iterator[list[int]]:
    """Ids in runs of ``size``."""
    for start in range(0, len(ids), size):
        yield list(ids[start : start + size])


def rows_that_fit(usual: int, row_bytes: float | None) -> int:
    """Rows of the next statement, when those of the last one made ``row_bytes`` each; None: it is the first,
    which tells how long they are.
    """
    if row_bytes is None:
        return max(1, usual // 8)
    return max(1, min(usual, int(BATCH_BYTES / max(row_bytes, 1))))


def by_weight(
    ids: Sequence[int], weights: Mapping[int, int], most_rows: Callable[[], int], most: int
) -> Iterator[list[int]]:
    """Ids in runs of at most ``most_rows`` whose weights add up to at most ``most`` (or that are alone).

    ``most_rows`` is asked before each run.
    """
    batch: list[int] = []
    total, rows = 0, most_rows()
    for row in ids:
        weight = weights.get(row, 0)
        if batch and (len(batch) >= rows or total + weight > most):
            yield batch
            batch, total, rows = [], 0, most_rows()
        batch.append(row)
        total += weight
    if batch:
        yield batch
