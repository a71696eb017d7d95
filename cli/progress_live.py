"""The live progress of a terminal, drawn by rich. Imported only when there is a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from cli.progress import Milestones, WarningsView, left_text, lines_text, moved_text, relation_line
from cli.quantities import human_bytes, human_count
from cli.tally import BytesTally, JobTally, RelationTally, Tally

INTERVAL = 0.2
"""Seconds between two pictures; drawing one takes some milliseconds, and 2 % is what a display may cost."""


@contextlib.contextmanager
def live_view(console: Console) -> Iterator[LiveView]:
    """A view that draws until the end of the block and then leaves only the finished lines."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        *(TextColumn(f"{{task.fields[{name}]}}", markup=False) for name in ("count", "rate")),
    )
    with Progress(*columns, console=console, auto_refresh=False, transient=True) as progress:
        yield LiveView(progress)


class LiveView:
    """A bar for every relation at work, and one for the bytes of archiving and of delivering."""

    interval = INTERVAL

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._warnings = WarningsView(self._say)
        self._milestones = Milestones()
        self._tasks: dict[tuple[int, str], TaskID] = {}

    def look(self, tally: Tally) -> None:
        """Draw how it stands."""
        now = tally.clock()
        ended: list[str] = []
        for number, job in tally.jobs.items():
            prefix = f"{number}: " if len(tally.jobs) > 1 else ""
            for kind, name in self._milestones.new(number, job):
                if kind == "relation":
                    ended.append(prefix + relation_line(name, job.relations[name], now))
                    self._hide((number, name))
            self._relations(number, prefix, job, now)
            self._phases(number, prefix, job, now)
        if ended:
            self._say("\n".join(ended))  # at once: every print draws the bars again
        self._warnings.look(tally)
        self._progress.refresh()

    def _relations(self, number: int, prefix: str, job: JobTally, now: float) -> None:
        for name, relation in job.relations.items():
            if relation.began is not None and relation.ended is None:
                self._draw((number, name), prefix + name, **_relation_bar(relation, now))

    def _phases(self, number: int, prefix: str, job: JobTally, now: float) -> None:
        for phase, moved in job.bytes.items():
            if phase == job.phase and not job.status:
                self._draw((number, f"{phase} *"), prefix + phase, **_bytes_bar(moved, now))
            else:
                self._hide((number, f"{phase} *"))

    def _draw(self, key: tuple[int, str], text: str, **values: Any) -> None:
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task(text, start=True, count="", rate="")
        self._progress.update(self._tasks[key], **values)

    def _hide(self, key: tuple[int, str]) -> None:
        if key in self._tasks:
            self._progress.remove_task(self._tasks.pop(key))

    def _say(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)


def _relation_bar(relation: RelationTally, now: float) -> dict[str, Any]:
    by_parts = relation.lines is None
    return {
        "total": relation.parts if by_parts else relation.lines,
        "completed": relation.parts_done if by_parts else relation.lines_done,
        "count": lines_text(relation),
        "rate": f"{human_count(relation.rate(now))} lines/s",
    }


def _bytes_bar(moved: BytesTally, now: float) -> dict[str, Any]:
    return {
        "total": moved.total,
        "completed": moved.done,
        "count": moved_text(moved),
        "rate": f"{human_bytes(moved.rate(now))}/s{left_text(moved, now)}",
    }
