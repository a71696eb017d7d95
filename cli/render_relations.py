"""The relations of a job as a table that fits the terminal: columns that find no room are left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from cli.render_fit import OneLine, widths
from export_core.job import PartStatus, RelationState
from export_core.quantities import human_bytes, human_count, human_seconds

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

PART_STYLES = {
    PartStatus.QUEUED: "bright_black",
    PartStatus.STARTED: "yellow",
    PartStatus.FINISHED: "green",
    PartStatus.FAILED: "bold red",
}
SHORTEST_BAR, LONGEST_BAR = 8, 40
"""Cells of the timeline; with less it says nothing and is left out."""
_GAP = 2
_HEADINGS = ("lines", "bytes", "parts", "took", "state")
_EXPENDABLE = ("took", "parts", "bytes")
"""Columns that are given up one after the other on a narrow terminal."""


@dataclass(frozen=True, slots=True)
class RelationsTable:
    """The relations that have anything to show; the others are named in one line."""

    relations: Sequence[RelationState]

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        shown = [relation for relation in self.relations if not is_empty(relation)]
        empty = [relation.name for relation in self.relations if is_empty(relation)]
        if shown:
            yield _table(shown, options.max_width, "=" if options.ascii_only else "━")
        if empty:
            yield Text(
                f"no records: {', '.join(empty)}", style="bright_black", no_wrap=False, overflow="fold"
            )


def is_empty(relation: RelationState) -> bool:
    """Whether a relation was exported and has no record."""
    return relation.status is PartStatus.FINISHED and not relation.lines


def _table(relations: Sequence[RelationState], width: int, stroke: str) -> Table:
    cells = [_cells(relation) for relation in relations]
    headings = [name for name in _HEADINGS if any(row[name] for row in cells)]
    names = ["relation", *(relation.name for relation in relations)]
    numbers = widths([headings, *([row[name] for name in headings] for row in cells)])
    rest = width - widths([[name] for name in names])[0] - sum(_GAP + number for number in numbers)
    for name in _EXPENDABLE:
        if rest < 0 and name in headings:
            rest += _GAP + numbers.pop(headings.index(name))
            headings.remove(name)
    bar = min(rest - _GAP, LONGEST_BAR)
    return _drawn(relations, [[row[name] for name in headings] for row in cells], headings, (bar, stroke))


def _cells(relation: RelationState) -> dict[str, str]:
    done, parts = relation.parts_finished, relation.parts
    return {
        "lines": human_count(relation.lines),
        "bytes": human_bytes(relation.bytes),
        "parts": str(parts) if done == parts else f"{done}/{parts}",
        "took": human_seconds(relation.seconds) if relation.started_at else "",
        "state": "" if relation.status is PartStatus.FINISHED else str(relation.status),
    }


def _drawn(
    relations: Sequence[RelationState],
    rows: Sequence[Sequence[str]],
    headings: Sequence[str],
    bar: tuple[int, str],
) -> Table:
    width, stroke = bar
    bars = timeline(relations, width, stroke) if width >= SHORTEST_BAR else []
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    table.add_column("relation")
    for name in headings:
        table.add_column(name, justify="left" if name == "state" else "right", no_wrap=True)
    if any(bars):
        table.add_column("when", no_wrap=True)
    for place, relation in enumerate(relations):
        style = PART_STYLES[relation.status]
        when = [Text(bars[place], style=style)] if any(bars) else []
        table.add_row(OneLine(relation.name, style), *rows[place], *when)
    return table


def timeline(relations: Sequence[RelationState], width: int, stroke: str = "━") -> list[str]:
    """A bar for each relation on one common scale: where it stands is when the relation was worked on.

    A relation that has not ended reaches to the end of what is known; one that has not begun is empty.
    """
    starts = [_seconds(relation.started_at) for relation in relations if relation.started_at]
    ends = [_seconds(relation.finished_at) for relation in relations if relation.finished_at]
    if not starts:
        return [""] * len(relations)
    first, last = min(starts), max(starts + ends)
    scale = width / (last - first) if last > first else 0.0
    spans = [_span(relation, first, last, scale) for relation in relations]
    return [(" " * begin + stroke * (end - begin)).ljust(width) for begin, end in spans]


def _span(relation: RelationState, first: float, last: float, scale: float) -> tuple[int, int]:
    """The first cell of a relation's bar, and the one after its last."""
    if relation.started_at is None:
        return 0, 0
    end = _seconds(relation.finished_at) if relation.finished_at else last
    begin_cell = int((_seconds(relation.started_at) - first) * scale)
    return begin_cell, max(round((end - first) * scale), begin_cell + 1)


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
