"""Runs jobs in the foreground: progress on stderr, Ctrl-C, and the closing words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from cli.signals import stopping
from export_core.errors import ExportFailed, Interrupted, PackmuleError
from export_core.job import Job, JobStatus
from export_core.quantities import counted, human_bytes, human_seconds
from export_core.stop import Stop

if TYPE_CHECKING:
    from cli.wiring import Wiring
    from export_core.events import Event, Listener
    from export_core.worker_pool import WorkerPool


class Foreground:
    """Jobs that this terminal runs. One stop flag for all of them."""

    def __init__(self, wires: Wiring, listener: Listener, stop: Stop, mine: set[int]) -> None:
        self._wires = wires
        self._listener = listener
        self._mine = mine
        self.stop = stop

    def run(self, job_id: int, *, restart: bool = False, pool: WorkerPool | None = None) -> Job:
        """Run a job to its end, in the threads of ``pool`` or in its own.

        Raises PackmuleError, an interruption with the way to go on.
        """
        self._mine.add(job_id)
        try:
            return self._wires.run_job(job_id, self._listener, self.stop, restart=restart, pool=pool)
        except Interrupted as exc:
            hint = f"continue with: packmule resume {job_id}"
            raise Interrupted(f"job {job_id}: {exc.message}", hint=hint) from exc
        except PackmuleError as exc:
            self._tell_the_way_on(job_id, exc)
            raise
        finally:
            self._mine.discard(job_id)

    def _tell_the_way_on(self, job_id: int, exc: PackmuleError) -> None:
        """Add to a failed job's error how it goes on, unless its hint says so already."""
        with contextlib.suppress(PackmuleError):
            job = self._wires.store.get(job_id)
            if job.status is JobStatus.FAILED and "packmule resume" not in (exc.hint or ""):
                way = f"packmule resume {job_id} goes on with it"
                exc.hint = f"{exc.hint}; {way}" if exc.hint else way


@contextlib.contextmanager
def foreground(wires: Wiring, *, quiet: bool) -> Iterator[Foreground]:
    """Show progress and obey signals until the end of the block."""
    from cli.progress import shown

    stop, mine = Stop(), set[int]()

    def let_go() -> None:
        for job_id in sorted(mine.copy()):
            _release(wires, job_id)
            wires.message(f"job {job_id} was interrupted; continue with: packmule resume {job_id}")

    with stopping(stop, let_go), shown(wires.output, quiet=quiet) as tally:
        yield Foreground(wires, _told_to_log_too(tally), stop, mine)


def _release(wires: Wiring, job_id: int) -> None:
    """Give a job back; without it, the next look at the job finds its owner gone."""
    from export_core.ownership import current_owner

    with contextlib.suppress(PackmuleError):
        wires.store.release(job_id, current_owner())


def _told_to_log_too(listener: Listener) -> Listener:
    from cli.logging_setup import log_event

    def both(event: Event) -> None:
        listener(event)
        log_event(event)

    return both


def exit_code_of(jobs: Iterable[Job]) -> int:
    """0, or 3 when an archive that was delivered lacks something that should be in it."""
    return ExportFailed.exit_code if any(job.incomplete for job in jobs) else 0


def closing_words(job: Job, seconds: float | None = None) -> str:
    """A finished job in a sentence or two, for stderr; its place is on stdout."""
    lines = sum(relation.lines for relation in job.relations)
    facts = [counted(len(job.relations), "relation"), counted(lines, "line")]
    if job.archive:
        facts.insert(0, human_bytes(job.archive.size))
    if seconds is not None:
        facts.append(human_seconds(seconds))
    text = f"job {job.id} finished: {job.project} ({', '.join(facts)})"
    if job.reused_from is not None:
        text += f"\nnothing changed since job {job.reused_from}: its archive was reused"
    if job.incomplete:
        text += "\nthe archive is incomplete: what --allow-missing left out is among the warnings"
    if job.warnings:
        text += f"\n{counted(len(job.warnings), 'warning')}: see packmule show {job.id}"
    return text
