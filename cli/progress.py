"""Shows what happens in jobs: live on a terminal, in occasional lines elsewhere, not at all when quiet.

A thread looks at the tally some times a second; an event itself costs an addition, whatever is shown.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from cli.tally import BytesTally, JobTally, RelationTally, Tally
from export_core.quantities import counted, human_bytes, human_count, human_seconds

if TYPE_CHECKING:
    from cli.output import Output
    from export_core.events import Listener

PLAIN_INTERVAL = 10.0
"""Seconds between two lines about the same phase where nobody watches."""

BEFORE_DRAWING = 0.5
"""Seconds without a picture: what draws it would be loaded while an export itself has much to load, and one
that is over by then needs none."""

LONG = 2.0
"""Seconds from which on a relation is worth a line of its own; most take next to none."""

Say = Callable[[str], None]


class View(Protocol):
    """Something that shows a tally."""

    interval: float

    def look(self, tally: Tally) -> None:
        """Show how it stands now. The caller holds the tally's lock."""
        ...


@contextlib.contextmanager
def shown(output: Output, *, quiet: bool) -> Iterator[Listener]:
    """A listener whose events are shown on stderr until the end of the block."""
    tally, ended = Tally(), threading.Event()
    # The view is made in its thread: nobody waits for it.
    words = {"quiet": quiet}
    thread = threading.Thread(target=_keep_looking, args=(output, tally, ended), kwargs=words, daemon=True)
    thread.start()
    try:
        yield tally
    finally:
        ended.set()
        thread.join()


def _keep_looking(output: Output, tally: Tally, ended: threading.Event, *, quiet: bool) -> None:
    with _view(output, ended, quiet=quiet) as view:
        going_on = True
        while going_on:
            going_on = not ended.wait(view.interval)
            with tally.lock:
                view.look(tally)


@contextlib.contextmanager
def _view(output: Output, ended: threading.Event, *, quiet: bool) -> Iterator[View]:
    on_terminal = sys.stderr.isatty()
    if quiet or (on_terminal and ended.wait(BEFORE_DRAWING)):
        yield WarningsView(output.message)
    elif on_terminal:
        from cli.progress_live import live_view

        with live_view(output.console_err) as view:
            yield view
    else:
        yield PlainView(output.message)


class WarningsView:
    """Only what the user must know."""

    interval = 1.0

    def __init__(self, say: Say) -> None:
        self._say = say
        self._told: dict[int, int] = {}

    def look(self, tally: Tally) -> None:
        """Tell new warnings."""
        for number, job in tally.jobs.items():
            for warning in job.warnings[self._told.get(number, 0) :]:
                self._say(f"warning: {warning}")
            self._told[number] = len(job.warnings)


class Milestones:
    """Tells of every milestone once, in order."""

    def __init__(self) -> None:
        self._told: dict[int, int] = {}

    def new(self, number: int, job: JobTally) -> list[tuple[str, str]]:
        """What a job has reached since the last call."""
        told = self._told.get(number, 0)
        self._told[number] = len(job.milestones)
        return job.milestones[told:]


class PlainView:
    """A line when a phase begins, one for every relation that took long, and a sign of life now and then."""

    interval = 0.5

    def __init__(self, say: Say) -> None:
        self._say = say
        self._warnings = WarningsView(say)
        self._milestones = Milestones()
        self._spoken: dict[int, float] = {}

    def look(self, tally: Tally) -> None:
        """Tell what is new."""
        now = tally.clock()
        for number, job in tally.jobs.items():
            reached = self._milestones.new(number, job)
            news = [_milestone_line(job, *one, now) for one in reached if is_worth_a_line(job, *one, now)]
            if not news and not job.status and now - self._spoken.setdefault(number, now) >= PLAIN_INTERVAL:
                news = [standing(job, now)]
            for text in news:
                self._say(f"job {number}: {text}")
                self._spoken[number] = now
        self._warnings.look(tally)


def is_worth_a_line(job: JobTally, kind: str, name: str, now: float) -> bool:
    """Whether something that was reached is told: phases, and relations that took long."""
    return kind != "relation" or job.relations[name].seconds(now) >= LONG


def _milestone_line(job: JobTally, kind: str, name: str, now: float) -> str:
    if kind == "relation":
        return relation_line(name, job.relations[name], now)
    return f"{name} {job.project}" + (", resumed" if job.resumed and name == "exporting" else "")


def relation_line(name: str, relation: RelationTally, now: float) -> str:
    """A finished relation in a line."""
    took = human_seconds(relation.seconds(now))
    return f"{name}: {counted(relation.lines_done, 'line')} in {took}"


def standing(job: JobTally, now: float) -> str:
    """How far a job is, in a line."""
    if job.phase in job.bytes:
        moved = job.bytes[job.phase]
        return f"{job.phase} {moved_text(moved)}, {human_bytes(moved.rate(now))}/s{left_text(moved, now)}"
    parts = sum(relation.parts for relation in job.relations.values())
    done = sum(relation.parts_done for relation in job.relations.values())
    lines = sum(relation.lines_done for relation in job.relations.values())
    return f"{job.phase}: {human_count(done)} of {counted(parts, 'part')}, {counted(lines, 'line')}"


def moved_text(moved: BytesTally) -> str:
    """``12 MB of 30 MB``."""
    if moved.total is None:
        return human_bytes(moved.done)
    return f"{human_bytes(moved.done)} of {human_bytes(moved.total)}"


def left_text(moved: BytesTally, now: float) -> str:
    """``, 12 s left``; empty when nobody can know."""
    left = moved.left(now)
    return "" if left is None else f", {human_seconds(left)} left"


def lines_text(relation: RelationTally) -> str:
    """``1,200 of 20,000 lines``, or parts where the source does not count lines."""
    if relation.lines is None:
        return f"{human_count(relation.parts_done)} of {counted(relation.parts, 'part')}"
    return f"{human_count(relation.lines_done)} of {counted(relation.lines, 'line')}"
