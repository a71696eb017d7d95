"""``packmule show``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from cli.render import job_details_json
from cli.wiring import wiring

EXAMPLES = ("packmule show 12", "packmule show 12 --json")


def show(
    ctx: typer.Context,
    job: Annotated[int, typer.Argument(metavar="JOB", help="Number of the job, as packmule list shows it.")],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """One job: its relations and when each was worked on, sizes, snapshots, warnings, error."""
    wires = wiring(ctx)
    found = wires.store.get(job)
    if json:
        wires.print_json(job_details_json(found))
        return
    from cli.render_tables import job_view

    wires.out(job_view(found, datetime.now(UTC)))
