"""``packmule verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.render_notes import empty_lines, unknown_lines
from cli.wiring import Wiring, wiring
from export_core.errors import ArchiveInvalid
from export_core.quantities import counted, human_bytes, human_count

if TYPE_CHECKING:
    from export_core.verify_report import VerifyReport

EXAMPLES = ("packmule verify project.tar.gz", "packmule verify project.tar.gz --json")


def verify(
    ctx: typer.Context,
    archive: Annotated[Path, typer.Argument(metavar="ARCHIVE", help="A project archive (.tar.gz).")],
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Every key that GitLab does not know, with its records.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON document.")] = False,
) -> None:
    """Would GitLab import this archive, and is it whole?

    The importer's own checklist: version, tree, lines and their size, repositories, uploads, LFS digests,
    limits. Every problem is listed; with any, the exit code is 7.
    """
    from export_core.verify import verify_archive

    wires = wiring(ctx)
    report = verify_archive(archive)
    if json:
        wires.print_json(report.to_json())
    else:
        _show(wires, report, verbose=verbose)
    if not report.importable:
        count = len(report.problems)
        what = "1 problem" if count == 1 else f"{count} problems"
        raise ArchiveInvalid(f"{archive} is not importable: {what}")


def _show(wires: Wiring, report: VerifyReport, *, verbose: bool) -> None:
    """The report for people: relations and their counts, then everything that was found."""
    for count in report.relations.values():
        if count.lines:
            word = "line " if count.lines == 1 else "lines"
            size = human_bytes(count.bytes)
            wires.out(f"{count.name:<27} {human_count(count.lines):>10} {word} {size:>10}")
    unknown = dict.fromkeys(report.unknown_relations)
    for line in (
        *empty_lines([count.name for count in report.relations.values() if not count.lines]),
        *unknown_lines(unknown, report.unknown_keys, verbose=verbose),
    ):
        wires.out(line)
    for warning in report.warnings:
        wires.out(f"warning: {warning}")
    for problem in report.problems:
        wires.out(f"problem: {problem}")
    if report.importable:
        lines = sum(count.lines for count in report.relations.values())
        wires.out(
            f"importable: {counted(lines, 'line')} in {counted(len(report.relations), 'relation')}, "
            f"made by GitLab {report.gitlab_version or 'of unknown version'}"
        )
