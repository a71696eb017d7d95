"""``packmule import``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.quantities import human_count
from cli.wiring import wiring

EXAMPLES = ("packmule import project.tar.gz --as group/project",)


def import_archive(
    ctx: typer.Context,
    archive: Annotated[Path, typer.Argument(metavar="ARCHIVE", help="A project archive (.tar.gz).")],
    full_path: Annotated[
        str, typer.Option("--as", metavar="PATH", help="Full path of the new project: group/project.")
    ],
    json: Annotated[bool, typer.Option("--json", help="Print what was loaded as one JSON document.")] = False,
) -> None:
    """Load an archive into the embedded instance.

    What the archive has and GitLab 18.9 does not is named, so that nothing disappears unsaid.
    """
    wires = wiring(ctx)
    loaded = wires.load_archive(archive, full_path)
    if json:
        wires.print_json(loaded)
        return
    for line in _lines(loaded):
        wires.out(line)


def _lines(loaded: Any) -> list[str]:
    """What was loaded, for people."""
    return [
        f"{name}: {human_count(value) if isinstance(value, int) else value}" for name, value in loaded.items()
    ]
