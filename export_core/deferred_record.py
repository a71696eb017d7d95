"""Marks deferred parts in the job store while the archive, which is where they are read, is made."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from export_core.archive import DeferredWork
from export_core.deferred import measure
from export_core.events import Listener, PartFinished, PartStarted
from export_core.source import Part, Plan, Reader
from export_core.store import JobStore

_PLANNED_ON = 0
"""The snapshot that named the files: always the first, a plan is never mended but made anew."""


@dataclass(frozen=True, slots=True)
class PartsInArchive:
    """Deferred parts of one job. Their results are empty: their bytes are in the archive."""

    store: JobStore
    job_id: int
    listener: Listener

    def begin(self, part: Part) -> None:
        """A part is being read; whatever was recorded of it, the archive does not hold it any more."""
        self.store.requeue_parts(self.job_id, [part.key])
        self.store.start_part(self.job_id, part.relation, part.number, _PLANNED_ON)
        self.listener(PartStarted(self.job_id, part.relation, part.number))

    def done(self, part: Part, work: DeferredWork) -> None:
        """The archive durably holds the whole part."""
        self.store.finish_part(
            self.job_id,
            part.relation,
            part.number,
            {},
            snapshot_number=_PLANNED_ON,
            seconds=work.seconds,
            lines=work.files,
            bytes=work.bytes,
        )
        self.listener(PartFinished(self.job_id, part.relation, part.number, work.files, work.bytes))

    def done_unseen(self, plan: Plan, open_reader: Callable[[], Reader], mtime: int) -> None:
        """Mark the parts whose end an interrupted run reached without being able to say so."""
        marked = self.store.finished_parts(self.job_id)
        unseen = [part for part in plan.parts if part.deferred and part.key not in marked]
        if unseen:
            with closing(open_reader()) as reader:
                for part in unseen:
                    self.begin(part)
                    self.done(part, DeferredWork(*measure(part, reader, mtime=mtime), seconds=0.0))
