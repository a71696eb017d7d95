"""``packmule import``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.render_notes import empty_lines, unknown_lines
from cli.wiring import wiring
from export_core.quantities import human_count, listed

EXAMPLES = ("packmule import project.tar.gz --as group/project",)


def import_archive(
    ctx: typer.Context,
    archive: Annotated[Path, typer.Argument(metavar="ARCHIVE", help="A project archive (.tar.gz).")],
    full_path: Annotated[
        str, typer.Option("--as", metavar="PATH", help="Full path of the new project: group/project.")
    ],
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Every key that is left out, with its records.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print what was loaded as one JSON document.")] = False,
) -> None:
    """Load an archive into the embedded instance.

    What the archive has and GitLab 18.9 does not know is named, so that nothing disappears unsaid.
    """
    wires = wiring(ctx)
    loaded = wires.load_archive(archive, full_path)
    if json:
        wires.print_json(loaded)
        return
    for line in _lines(loaded, verbose=verbose):
        wires.out(line)


def _lines(loaded: Mapping[str, Any], *, verbose: bool) -> Iterator[str]:
    """What was loaded, and what the archive has that GitLab 18.9 has not, for people."""
    for relation in loaded["relations"]:
        if relation["lines"]:
            yield f"{relation['name']:<28} {human_count(relation['lines']):>10}"
    yield from empty_lines([one["name"] for one in loaded["relations"] if not one["lines"]])
    yield from unknown_lines(loaded["unknown_relations"], loaded["unknown_keys"], verbose=verbose)
    ignored = loaded["ignored"]
    if ignored:
        yield f"note: ignored as left by an operating system: {listed(ignored, 3)}"
    for warning in loaded["warnings"]:
        yield f"warning: {warning}"
    yield f"loaded as {loaded['project']}; packmule export {loaded['project']} carries it out again"
