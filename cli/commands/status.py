"""``packmule status``."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.render import status_json, status_words
from cli.wiring import wiring
from export_core.export_status import project_export

EXAMPLES = ("packmule status group/project --json",)


def status(
    ctx: typer.Context,
    project: Annotated[str, typer.Argument(metavar="PROJECT", help="Full path of the project.")],
    source: Annotated[str | None, typer.Option(metavar="NAME", help="Only exports from this source.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """The export status of a project in GitLab's words.

    none, queued, started, finished, regeneration_in_progress (a new export while the previous archive is
    still there) or failed. A project that was never exported is none, which is no error.
    """
    wires = wiring(ctx)
    path, jobs = project, wires.store.list(project=project, source=source, whole=False)
    for tried in (f"/{project.strip('/')}", project.strip().strip("/")):  # as export takes pages and projects
        if not jobs:
            path, jobs = tried, wires.store.list(project=tried, source=source, whole=False)
    found = project_export(jobs)
    if json:
        wires.print_json(status_json(path, found))
    else:
        wires.out(status_words(path, found))
