"""``packmule resume``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from typer import Argument, Option

from cli.cleaning import remove_leftovers
from cli.commands.export import print_job, run_and_tell
from cli.commands.export_many import run_and_tell_all, show_all
from cli.lazy import Context, command_of
from cli.running import exit_code_of
from cli.wiring import Wiring, wiring
from export_core.errors import NotFound, UsageError
from export_core.job import UNFINISHED, Job, JobStatus

EXAMPLES = ("packmule resume", "packmule resume 7 --restart", "packmule resume --all")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeOptions:
    """What ``packmule resume`` understands."""

    job: Annotated[
        int | None, Argument(metavar="JOB", help="Default: the latest that was interrupted or failed.")
    ] = None
    all_jobs: Annotated[bool, Option("--all", help="Every job that was interrupted, failed, or waits.")] = (
        False
    )
    restart: Annotated[bool, Option("--restart", help="Start over; nothing already done is kept.")] = False
    parallel: Annotated[int, Option(metavar="N", min=1, help="With --all: jobs at a time.")] = 1
    json: Annotated[bool, Option("--json", help="Print the job as one JSON document.")] = False
    quiet: Annotated[bool, Option("--quiet", help="Only warnings and errors on stderr.")] = False


def run(ctx: Context, options: ResumeOptions) -> int | None:
    """Continue an interrupted or failed job.

    Finished parts are kept after a look at their segments; all else is read from a new snapshot, and the
    job says so. A job that is finished already is left alone, with exit code 0.
    """
    wires = wiring(ctx)
    if options.all_jobs:
        return _resume_all(wires, options)
    job = _chosen(wires, options.job)
    if job.status is JobStatus.FINISHED:
        _tell_finished(wires, job, options)
        return None
    job = run_and_tell(wires, job.id, restart=options.restart, json=options.json, quiet=options.quiet)
    return exit_code_of([job])


resume = command_of(ResumeOptions, run)


def _chosen(wires: Wiring, job_id: int | None) -> Job:
    if job_id is not None:
        return wires.store.get(job_id)
    jobs = wires.store.list()
    job = next((job for job in jobs if job.status in UNFINISHED), None)
    job = job or next((job for job in jobs if job.status is JobStatus.QUEUED), None)
    if job is None:
        raise NotFound("there is no job to resume", hint="packmule list shows all jobs")
    return job


def _tell_finished(wires: Wiring, job: Job, options: ResumeOptions) -> None:
    wires.message(f"job {job.id} is finished already; nothing is left to do")
    remove_leftovers(wires, job.id)  # of a process that was killed at the very end
    if options.json:
        print_job(wires, job)
    else:
        wires.out(job.place or "")


def _resume_all(wires: Wiring, options: ResumeOptions) -> int:
    if options.job is not None:
        raise UsageError("a job and --all exclude each other")
    # Those that a group's export had not begun when it was interrupted are queued, and go on with the others.
    waiting = (*UNFINISHED, JobStatus.QUEUED)
    jobs = [job for job in reversed(wires.store.list(whole=False)) if job.status in waiting]
    if jobs:
        return run_and_tell_all(
            wires,
            jobs,
            parallel=options.parallel,
            json=options.json,
            quiet=options.quiet,
            restart=options.restart,
        )
    if options.json:
        show_all(wires, jobs, json=True, quiet=True)
    else:
        wires.message("there is no job to resume")
    return 0
