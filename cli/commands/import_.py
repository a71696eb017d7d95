"""``packmule import``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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


def _lines(loaded: Mapping[str, Any]) -> Iterator[str]:
    """What was loaded, and what the archive has that GitLab 18.9 has not, for people."""
    for relation in loaded["relations"]:
        yield f"{relation['name']:<28} {human_count(relation['lines']):>10}"
    for name, records in loaded["unknown_relations"].items():
        yield f"note: GitLab 18.9 has no relation {name} ({human_count(records)} records); it was left out"
    for key, records in loaded["unknown_keys"].items():
        yield f"note: GitLab 18.9 does not know {key} ({human_count(records)} records); it was left out"
    ignored = loaded["ignored"]
    if ignored:
        more = f" and {len(ignored) - 3} more" if len(ignored) > 3 else ""
        yield f"note: ignored as left by an operating system: {', '.join(ignored[:3])}{more}"
    for warning in loaded["warnings"]:
        yield f"warning: {warning}"
    yield f"loaded as {loaded['project']}; packmule export {loaded['project']} carries it out again"
