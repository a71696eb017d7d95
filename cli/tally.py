"""Adds up the events of jobs. Cheap enough for every event; what is on the screen is read from it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from export_core import events


@dataclass(slots=True)
class RelationTally:
    """How far a relation is. ``*_before`` is what earlier runs did: it counts as done, not as speed."""

    parts: int
    lines: int | None
    parts_done: int
    lines_done: int
    lines_before: int
    began: float | None = None
    ended: float | None = None

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return self.parts_done >= self.parts

    def seconds(self, now: float) -> float:
        """How long it has been worked on in this run."""
        return 0.0 if self.began is None else (self.ended or now) - self.began

    def rate(self, now: float) -> float:
        """Lines per second since it began in this run."""
        return 0.0 if self.began is None else self.lines_here / max(self.seconds(now), 0.001)

    @property
    def lines_here(self) -> int:
        """Lines of this run."""
        return self.lines_done - self.lines_before


@dataclass(slots=True)
class BytesTally:
    """How far archiving or delivering is. ``before`` is where it stood when this run began."""

    total: int | None
    done: int
    before: int
    began: float

    def rate(self, now: float) -> float:
        """Bytes per second in this run."""
        return (self.done - self.before) / max(now - self.began, 0.001)

    def left(self, now: float) -> float | None:
        """Seconds to the end at this rate; None when nobody can know."""
        rate = self.rate(now)
        if self.total is None or rate <= 0:
            return None
        return max(self.total - self.done, 0) / rate


@dataclass(slots=True)
class JobTally:
    """One job, all added up."""

    began: float = 0.0
    project: str = ""
    resumed: bool = False
    phase: str = ""
    phase_began: float = 0.0
    relations: dict[str, RelationTally] = field(default_factory=dict)
    bytes: dict[str, BytesTally] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    status: str = ""
    milestones: list[tuple[str, str]] = field(default_factory=list)
    """What was reached, in order: ``("phase", name)`` begun, ``("relation", name)`` ended in this run."""


class Tally:
    """A listener that adds up. ``lock`` guards ``jobs`` for whoever reads them from another thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.lock = threading.Lock()
        self.jobs: dict[int, JobTally] = {}
        self.clock = clock

    def __call__(self, event: events.Event) -> None:
        """Add an event. Called from every worker thread."""
        with self.lock:
            if event.job not in self.jobs:
                self.jobs[event.job] = JobTally(self.clock())
            self._add(self.jobs[event.job], event)

    def _add(self, job: JobTally, event: events.Event) -> None:
        match event:
            case events.JobStarted():
                job.project, job.resumed = event.project, event.resumed
            case events.PhaseStarted():
                job.phase, job.phase_began = event.phase, self.clock()
                job.milestones.append(("phase", event.phase))
            case events.RelationPlanned():
                job.relations[event.relation] = RelationTally(
                    event.parts, event.lines, event.parts_done, event.lines_done, event.lines_done
                )
            case events.PartStarted():
                self._part_started(job, event)
            case events.PartFinished():
                self._part_finished(job, event)
            case events.BytesMoved():
                self._moved(job, event)
            case events.WarningRaised():
                job.warnings.append(event.message)
            case events.JobEnded():
                job.status = event.status

    def _part_started(self, job: JobTally, event: events.PartStarted) -> None:
        relation = job.relations.get(event.relation)
        if relation is not None and relation.began is None:
            relation.began = self.clock()

    def _part_finished(self, job: JobTally, event: events.PartFinished) -> None:
        relation = job.relations.get(event.relation)
        if relation is None:
            return
        relation.parts_done += 1
        relation.lines_done += event.lines
        if relation.done:
            relation.ended = self.clock()
            job.milestones.append(("relation", event.relation))

    def _moved(self, job: JobTally, event: events.BytesMoved) -> None:
        moved = job.bytes.get(event.phase)
        if moved is None:
            job.bytes[event.phase] = BytesTally(event.total, event.done, event.done, self.clock())
        else:
            moved.done, moved.total = event.done, event.total
            moved.before = min(moved.before, event.done)  # a retry may begin further back
