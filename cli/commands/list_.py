"""``packmule list``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from cli.render import job_json
from cli.wiring import wiring
from export_core.errors import UsageError
from export_core.job import JobStatus

EXAMPLES = ("packmule list", "packmule list --status failed --json")


def list_jobs(
    ctx: typer.Context,
    status: Annotated[str | None, typer.Option(metavar="STATUS", help="Only jobs in this state.")] = None,
    project: Annotated[str | None, typer.Option(metavar="PROJECT", help="Only jobs of this project.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON array of jobs.")] = False,
) -> None:
    """Jobs and their archives, newest first.

    States: queued, started, finished, failed, cancelled, and interrupted (its process is gone; it can be
    resumed).
    """
    wires = wiring(ctx)
    jobs = wires.store.list(status=job_status(status), project=project, whole=json)
    if json:
        wires.print_json([job_json(job) for job in jobs])
        return
    from cli.render_tables import jobs_table

    wires.out(jobs_table(jobs, datetime.now(UTC)))


def job_status(text: str | None) -> JobStatus | None:
    """The state that a word names. Raises UsageError."""
    if text is None:
        return None
    try:
        return JobStatus(text)
    except ValueError as exc:
        raise UsageError(f"{text!r} is not a state of a job", hint=f"states: {', '.join(JobStatus)}") from exc
