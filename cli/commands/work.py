"""``packmule work``."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.cleaning import carry_out, plan, policy_of
from cli.render import removal_line
from cli.wiring import Wiring, wiring
from cli.work_processes import Workers
from export_core.errors import ExportFailed, Interrupted
from export_core.stop import Stop
from export_core.work_queue import WorkQueue

EXAMPLES = (
    "packmule work --once          # runs what is queued, then returns: for cron and timers",
    "packmule work --parallel 2    # stays, as a service",
)

CLEAN_EVERY = 3600.0
"""Seconds between two clean-ups of a ``work`` that stays."""
LOOK_EVERY = 2.0
"""Seconds between two looks at the job store while there is room for another job."""


def work(
    ctx: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Return when nothing is left to do.")] = False,
    parallel: Annotated[int, typer.Option(metavar="N", min=1, help="Run N jobs at a time.")] = 5,
) -> int:
    """Run queued and interrupted jobs, oldest first, and clean up by the retention settings.

    Jobs are queued by packmule export --queue. Each runs in a process of its own; several packmule work
    never run the same job. A failed job is tried again after 1 and after 5 minutes, then left failed. With
    --once, exit code 3 says that a job failed or lacks something. SIGTERM and Ctrl-C stop all jobs; they
    stay resumable.
    """
    from cli.signals import stopping

    wires, stop = wiring(ctx), Stop()
    workers = Workers(ctx.find_root().obj, parallel)
    queue = WorkQueue(wires.store)
    with stopping(stop, workers.kill), workers:
        serve(wires, queue, workers, stop, once=once)
    if stop.reason is not None:
        raise Interrupted("packmule work was stopped", hint="its jobs are resumed by the next packmule work")
    return ExportFailed.exit_code if once and queue.failed else 0


def serve(wires: Wiring, queue: WorkQueue, workers: Workers, stop: Stop, *, once: bool) -> None:
    """Keep the workers busy until there is nothing left (``once``) or somebody stops us."""
    next_cleaning = 0.0
    while stop.reason is None:
        if not once and workers.clock() >= next_cleaning:
            _clean(wires)
            next_cleaning = workers.clock() + CLEAN_EVERY
        for job in queue.due(workers.room, running=workers.jobs):
            wires.message(f"job {job.id}: {job.project} begins")
            workers.start(job.id)
        if once and not workers.jobs:
            _clean(wires)
            return
        for job_id, exit_code in workers.wait(stop, LOOK_EVERY):
            wires.message(queue.ended(job_id, exit_code))


def _clean(wires: Wiring) -> None:
    """Clean up by the retention settings; what could not be removed is told, and tried again next time."""
    for result in carry_out(wires, plan(wires, policy_of(wires.config.retention))):
        wires.message(removal_line(result))
