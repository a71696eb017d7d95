"""The live progress of a terminal, drawn by rich. Imported only when there is a terminal.

A line for each job, which stays, and one for every relation that has been at work for a while: most
relations take milliseconds, and lines that come and go at once cannot be read.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TextColumn
from rich.table import Column

from cli.progress import (
    Milestones,
    WarningsView,
    is_worth_a_line,
    left_text,
    lines_text,
    moved_text,
    relation_line,
)
from cli.tally import BytesTally, JobTally, RelationTally, Tally
from export_core.quantities import human_bytes, human_count

INTERVAL = 0.2
"""Seconds between two pictures, at least."""
SHARE = 0.01
"""Of a processor's time that drawing may take."""
JOB_VISIBLE_AFTER = 0.3
RELATION_VISIBLE_AFTER = 1.0
"""Seconds of work."""
_NAME, _COUNT, _RATE = 24, 22, 20
"""Cells of the texts beside a bar: fixed, so that nothing moves sideways."""
_SHORTEST_BAR, _LONGEST_BAR = 8, 40


@contextlib.contextmanager
def live_view(console: Console) -> Iterator[LiveView]:
    """A view that draws until the end of the block and then leaves only the finished lines."""
    columns = _columns(console.width)
    with Progress(*columns, console=console, auto_refresh=False, transient=True) as progress:
        yield LiveView(progress)


def _columns(width: int) -> list[ProgressColumn]:
    """Name, bar, count and rate; a narrow terminal has no room for the bar, then none for the rate."""
    bar = width - _NAME - _COUNT - _RATE - 4
    name, count, rate = _text("description", _NAME), _text("count", _COUNT), _text("rate", _RATE)
    if bar >= _SHORTEST_BAR:
        return [name, BarColumn(bar_width=min(bar, _LONGEST_BAR)), count, rate]
    return [name, count, rate] if bar >= 0 else [name, count]


def _text(field: str, width: int) -> TextColumn:
    source = "{task.description}" if field == "description" else f"{{task.fields[{field}]}}"
    column = Column(width=width, no_wrap=True, overflow="ellipsis")
    return TextColumn(source, markup=False, table_column=column)


class LiveView:
    """A bar for every job, and one for every relation that is long at work."""

    def __init__(self, progress: Progress) -> None:
        self.interval = INTERVAL
        self._progress = progress
        self._warnings = WarningsView(self._say)
        self._milestones = Milestones()
        self._tasks: dict[tuple[int, str], TaskID] = {}

    def look(self, tally: Tally) -> None:
        """Draw how it stands, and see how long that takes."""
        begun = time.thread_time()
        self._draw(tally, tally.clock())
        self.interval = max(INTERVAL, (time.thread_time() - begun) / SHARE)

    def _draw(self, tally: Tally, now: float) -> None:
        ended: list[str] = []
        for number, job in tally.jobs.items():
            prefix = f"{number}: " if len(tally.jobs) > 1 else ""
            for kind, name in self._milestones.new(number, job):
                if kind == "relation" and is_worth_a_line(job, kind, name, now):
                    ended.append(prefix + relation_line(name, job.relations[name], now))
            self._job(number, prefix, job, now)
            self._relations(number, prefix, job, now)
        if ended:
            self._say("\n".join(ended))  # at once: every print draws the bars again
        self._warnings.look(tally)
        self._progress.refresh()

    def _job(self, number: int, prefix: str, job: JobTally, now: float) -> None:
        visible = not job.status and now - job.began >= JOB_VISIBLE_AFTER
        self._show((number, ""), prefix + job.phase, _job_bar(job, now) if visible else None)

    def _relations(self, number: int, prefix: str, job: JobTally, now: float) -> None:
        for name, relation in job.relations.items():
            at_work = not job.status and relation.began is not None and relation.ended is None
            visible = at_work and relation.seconds(now) >= RELATION_VISIBLE_AFTER
            self._show((number, name), f"{prefix}  {name}", _relation_bar(relation, now) if visible else None)

    def _show(self, key: tuple[int, str], text: str, values: dict[str, Any] | None) -> None:
        """Draw a bar; without values, none."""
        if values is None:
            if key in self._tasks:
                self._progress.remove_task(self._tasks.pop(key))
            return
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task(text, start=True, count="", rate="")
        self._progress.update(self._tasks[key], description=text, **values)

    def _say(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)


def _job_bar(job: JobTally, now: float) -> dict[str, Any]:
    if job.phase in job.bytes:
        return _bytes_bar(job.bytes[job.phase], now)
    relations = job.relations.values()
    if not relations:
        return {"total": 1, "completed": 0, "count": "", "rate": ""}
    done, parts = sum(r.parts_done for r in relations), sum(r.parts for r in relations)
    rate = sum(r.lines_here for r in relations) / max(now - job.phase_began, 0.001)
    total = sum(r.lines or 0 for r in relations)
    if total and all(r.lines is not None for r in relations):
        lines = sum(r.lines_done for r in relations)
        whole = RelationTally(parts, total, done, lines, 0)
    else:
        whole = RelationTally(parts, None, done, 0, 0)
    return {**_relation_bar(whole, now), "rate": _rate(rate)}


def _relation_bar(relation: RelationTally, now: float) -> dict[str, Any]:
    by_parts = relation.lines is None
    return {
        "total": relation.parts if by_parts else relation.lines,
        "completed": relation.parts_done if by_parts else relation.lines_done,
        "count": lines_text(relation),
        "rate": _rate(relation.rate(now)),
    }


def _rate(lines: float) -> str:
    """``320 lines/s``; nothing before the first have come."""
    return f"{human_count(lines)} lines/s" if lines else ""


def _bytes_bar(moved: BytesTally, now: float) -> dict[str, Any]:
    return {
        "total": moved.total,
        "completed": moved.done,
        "count": moved_text(moved),
        "rate": f"{human_bytes(moved.rate(now))}/s{left_text(moved, now)}",
    }
