"""``packmule cancel``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from cli.cleaning import remove_leftovers
from cli.wiring import Wiring, wiring
from export_core.errors import ExportFailed, JobConflict
from export_core.job import JobStatus

if TYPE_CHECKING:
    from export_core.job import Job

EXAMPLES = ("packmule cancel 12",)

PATIENCE = 10.0
"""Seconds that a running job gets to stop before this command says that it has not."""
LOOK_EVERY = 0.1


def cancel(
    ctx: typer.Context,
    job: Annotated[int, typer.Argument(metavar="JOB", help="Number of the job, as packmule list shows it.")],
) -> None:
    """Stop a job, from any terminal, and remove its work directory and any unfinished upload.

    A job that is being run by another process is asked to stop, which takes a second or two. Exit code 3:
    the job is finished already, or has not stopped yet.
    """
    wires = wiring(ctx)
    wires.store.use_reserve()
    found = wires.store.get(job)
    if found.status is JobStatus.CANCELLED:
        wires.message(f"job {job} is cancelled already")
    else:
        _stop(wires, found)
        wires.message(f"job {job} is cancelled")
    for result in remove_leftovers(wires, job):
        if result.error is not None:
            wires.message(f"{result.removal.target} is left: {result.error}; packmule clean tries again")


def _stop(wires: Wiring, job: Job) -> None:
    """Bring a job to the state cancelled, by asking its process or directly. Raises JobConflict."""
    asked = False
    deadline = time.monotonic() + PATIENCE
    while True:
        match wires.store.get(job.id).status:
            case JobStatus.CANCELLED:
                return
            case JobStatus.STARTED:
                asked = asked or _ask(wires, job)
            case _:  # nobody runs it: finished ones refuse here
                wires.store.cancel(job.id)
                return
        if time.monotonic() > deadline:
            hint = f"packmule show {job.id} tells how far it is; it stops as soon as it can"
            raise ExportFailed(f"job {job.id} was asked to stop, and has not stopped yet", hint=hint)
        time.sleep(LOOK_EVERY)


def _ask(wires: Wiring, job: Job) -> bool:
    try:
        wires.store.request(job.id, "cancel")
    except JobConflict:  # it ended at this very moment; the next look tells how
        return False
    return True
