"""What happens during a job, told to whoever listens. The engine never draws; ``cli/progress.py`` does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JobStarted:
    """A job was claimed and begins (or goes on, when ``resumed``)."""

    job: int
    project: str
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class PhaseStarted:
    """``phase`` is one of ``export_core.job.Phase``'s values."""

    job: int
    phase: str


@dataclass(frozen=True, slots=True)
class RelationPlanned:
    """A relation and its whole work: parts, expected lines (None: unknown), and what an earlier run did."""

    job: int
    relation: str
    parts: int
    lines: int | None
    parts_done: int = 0
    lines_done: int = 0


@dataclass(frozen=True, slots=True)
class PartStarted:
    """A worker began a part."""

    job: int
    relation: str
    part: int


@dataclass(frozen=True, slots=True)
class PartFinished:
    """A part is durable: ``lines`` records, ``bytes`` uncompressed."""

    job: int
    relation: str
    part: int
    lines: int
    bytes: int


@dataclass(frozen=True, slots=True)
class BytesMoved:
    """Progress of archiving or delivering: ``done`` of ``total`` bytes (None: unknown)."""

    job: int
    phase: str
    done: int
    total: int | None


@dataclass(frozen=True, slots=True)
class WarningRaised:
    """Something the user must know although the export goes on."""

    job: int
    message: str


@dataclass(frozen=True, slots=True)
class JobEnded:
    """The job reached ``status``: finished, failed, cancelled or interrupted."""

    job: int
    status: str


Event = (
    JobStarted
    | PhaseStarted
    | RelationPlanned
    | PartStarted
    | PartFinished
    | BytesMoved
    | WarningRaised
    | JobEnded
)
Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Listen to nothing."""
