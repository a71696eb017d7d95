"""How long things are kept when nobody says otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Retention:
    """How long ``clean`` and ``work`` keep things; ages count from the last sign of life in the store."""

    archives: timedelta = timedelta(hours=24)
    jobs: timedelta = timedelta(days=7)
    expire_unfinished: timedelta = timedelta(hours=24)
    keep_last: int = 0
    """Archives kept per project, whatever their age."""
