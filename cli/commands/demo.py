"""``packmule demo``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.render_notes import empty_lines
from cli.wiring import Wiring, wiring
from export_core.errors import ArchiveInvalid, ExportFailed, UsageError
from export_core.quantities import human_bytes, human_count

if TYPE_CHECKING:
    from export_core.job import Job
    from export_core.sources.embedded.instance import EmbeddedInstance

EXAMPLES = (
    "packmule demo",
    "packmule demo --scale 20000",
    "packmule demo --scale 200000 --no-export",
    "packmule demo --wiki",
)


def demo(
    ctx: typer.Context,
    scale: Annotated[
        int | None,
        typer.Option(metavar="N", help="A project with about N issues instead, for trying out speed."),
    ] = None,
    no_export: Annotated[
        bool, typer.Option("--no-export", help="Only make the project, and say how to export it.")
    ] = False,
    wiki: Annotated[
        bool, typer.Option("--wiki", help="Export the pages of a small GROWI wiki instead.")
    ] = False,
) -> None:
    """Make a filled project in the embedded instance, export it and verify the archive.

    The project packmule/demo has at least one record of every relation, a repository, a wiki, designs,
    snippets, uploads, LFS and an avatar; an earlier one is replaced. With --wiki a small GROWI wiki that
    comes with packmule is exported as Markdown. The archive's path is printed on stdout.
    """
    wires = wiring(ctx)
    if wiki and (scale is not None or no_export):
        raise UsageError("--wiki exports one wiki of one size", hint="leave --scale and --no-export out")
    if wiki:
        _demonstrate_wiki(wires)
    else:
        _demonstrate(wires, scale, no_export=no_export)


def _demonstrate_wiki(wires: Wiring) -> None:
    from cli.demo_wiki import check_wiki, wiki_advice
    from export_core.sources.growi import DEMO_URL

    wires.message("exporting / and all below it from the wiki that comes with packmule")
    job = _exported(wires, "/", source=DEMO_URL)
    check_wiki(wires, _archive(job))
    wires.message(wiki_advice(_archive(job), job))


def _demonstrate(wires: Wiring, scale: int | None, *, no_export: bool) -> None:
    from export_core.sources.embedded.demo import one_at_a_time
    from export_core.sources.embedded.instance import EmbeddedInstance

    if scale is not None:
        from export_core.sources.embedded.demo_scale import check_scale

        check_scale(scale)
    instance = EmbeddedInstance(wires.home)
    with instance.session(), one_at_a_time(instance, wires.message):
        path, loaded = _made(wires, instance, scale)
        if no_export:
            wires.message(f"{path} is there; try next:\n  packmule export {path} --to {_name(path)}.tar.gz")
            wires.out(path)
            return
        job = _exported(wires, path)
        _verified(wires, job, loaded)
    _what_next(wires, path, job)


def _made(wires: Wiring, instance: EmbeddedInstance, scale: int | None) -> tuple[str, Mapping[str, int]]:
    """Make the project; its path, and how many records of each relation went in (as far as that is known)."""
    if scale is not None:
        from export_core.sources.embedded.demo_scale import make_scale

        return make_scale(instance, scale, wires.message), {}
    from export_core.sources.embedded.demo import load_demo

    wires.message("making packmule/demo in the embedded instance")
    report = load_demo(instance)
    rows = human_count(sum(report.rows.values()))
    wires.message(f"loaded {rows} rows, {len(report.relations)} relations and kinds of files")
    return report.project, report.relations


def _exported(wires: Wiring, path: str, source: str = "embedded") -> Job:
    """Export it as ``packmule export`` does; the archive stays in packmule's own store."""
    from cli.commands.export import run_and_tell
    from cli.commands.export_options import ExportOptions
    from cli.requests import job_request

    options = ExportOptions(project=path, source=source, strategy="notification", no_reuse=True)
    # A demonstration bothers nobody who waits for real exports.
    request = replace(job_request(path, options, wires.config, wires.home), notify=())
    job = wires.store.create(request)
    return run_and_tell(wires, job.id, restart=False, json=False, quiet=False)


def _verified(wires: Wiring, job: Job, loaded: Mapping[str, int]) -> None:
    """Check the archive as GitLab's importer would, and that all that went in came out."""
    from export_core.verify import verify_archive

    report = verify_archive(_archive(job))
    for count in report.relations.values():
        if count.lines:
            word = "line " if count.lines == 1 else "lines"
            size = human_bytes(count.bytes)
            wires.message(f"  {count.name:<27} {human_count(count.lines):>9} {word} {size:>10}")
    for line in empty_lines([count.name for count in report.relations.values() if not count.lines]):
        wires.message(f"  {line}")
    if not report.importable:
        raise ArchiveInvalid(f"the archive is not importable: {report.problems[0]}")
    for name, lines in loaded.items():
        found = report.relations[name].lines if name in report.relations else 0
        if found != lines:
            raise ExportFailed(f"{name}: {lines} records went in, {found} came out")
    wires.message("verified: GitLab would import it" + (", and all that went in is there" if loaded else ""))


def _archive(job: Job) -> Path:
    if job.archive is None or job.archive.path is None:
        raise ExportFailed(f"job {job.id} left no archive")
    return Path(job.archive.path)


def _what_next(wires: Wiring, path: str, job: Job) -> None:
    archive = _archive(job)
    wires.message(
        "try next:\n"
        f"  tar -tzf {archive}\n"
        f"  packmule show {job.id}\n"
        f"  packmule import {archive} --as my/copy\n"
        f"  packmule export {path} --to {_name(path)}.tar.gz\n"
        "  packmule demo --scale 20000    (for speed)\n"
        "  packmule demo --wiki           (pages of a wiki)"
    )


def _name(path: str) -> str:
    return path.rpartition("/")[2]
