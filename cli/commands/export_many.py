"""``packmule export --group`` and ``--all``: a job for each project, some at a time, a table at the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from cli.commands.export_options import ExportOptions
from cli.quantities import human_bytes
from cli.requests import check_receivers, check_relations, chosen_source, job_request
from cli.running import Foreground, exit_code_of, foreground, place_of
from export_core.errors import ExportFailed, Interrupted, NotFound, PackmuleError, UsageError
from export_core.job import Job, JobStatus

if TYPE_CHECKING:
    from cli.wiring import Wiring


def export_many(wires: Wiring, options: ExportOptions) -> int | None:
    """Export every chosen project. Raises ExportFailed at the end if any failed, with exit code 3."""
    _check_words(options)
    source = wires.source(chosen_source(options, wires.config))
    with source.session():
        jobs = [_create(wires, options, project) for project in chosen_projects(source, options)]
        if not options.queue:
            ids, parallel = [job.id for job in jobs], options.parallel_projects
            jobs = run_all(wires, ids, parallel=parallel, quiet=options.quiet or options.json)
    tell_all(wires, jobs, json=options.json, quiet=options.quiet)
    return exit_code_of(jobs)


def run_all(
    wires: Wiring, job_ids: Sequence[int], *, parallel: int, quiet: bool, restart: bool = False
) -> list[Job]:
    """Run jobs, ``parallel`` at a time; as they stand afterwards. Raises Interrupted for all of them."""
    with (
        foreground(wires, quiet=quiet) as here,
        ThreadPoolExecutor(parallel, thread_name_prefix="job") as pool,
    ):
        runs = [pool.submit(_run_one, wires, here, job_id, restart=restart) for job_id in job_ids]
    if here.stop.reason is not None:
        raise Interrupted("the exports were interrupted", hint="continue with: packmule resume --all")
    for run in runs:
        run.result()  # an unexpected fault is not to be lost in its thread
    return [wires.store.get(job_id) for job_id in job_ids]


def tell_all(wires: Wiring, jobs: Sequence[Job], *, json: bool, quiet: bool) -> None:
    """All jobs as one JSON list, or their places on stdout and a table on stderr."""
    if json:
        from cli.render import job_json

        wires.print_json([job_json(job) for job in jobs])
    else:
        if not quiet:
            wires.console_err.print(summary_table(jobs))
        for job in jobs:
            if job.status is JobStatus.FINISHED:
                wires.out(place_of(job))
    failed = [job for job in jobs if job.status not in (JobStatus.FINISHED, JobStatus.QUEUED)]
    if failed:
        raise ExportFailed(
            f"{len(failed)} of {len(jobs)} exports failed: {', '.join(job.project for job in failed[:5])}"
            + (" ..." if len(failed) > 5 else ""),
            hint="packmule show JOB says why; packmule resume --all tries again",
        )


def chosen_projects(source: Any, options: ExportOptions) -> list[str]:
    """The projects that the words mean, largest first where the source can say. Raises NotFound."""
    listing = getattr(source, "projects", None)
    if listing is None:
        raise UsageError(f"source {source.name} cannot list its projects", hint="name one project")
    found = [str(path) for path in listing(options.group)]
    chosen = [path for path in found if _wanted(path, options.include, options.exclude)]
    if not chosen:
        which = f"group {options.group}" if options.group else f"source {source.name}"
        raise NotFound(f"no project of {which} is left to export", hint=f"{len(found)} were found at all")
    return chosen


def _wanted(path: str, include: Iterable[str], exclude: Iterable[str]) -> bool:
    included = list(include)
    return (not included or any(fnmatchcase(path, glob) for glob in included)) and not any(
        fnmatchcase(path, glob) for glob in exclude
    )


def _check_words(options: ExportOptions) -> None:
    if options.project is not None or (options.group is not None and options.all_projects):
        raise UsageError("a project, --group and --all exclude each other")
    if options.dry_run:
        raise UsageError("--dry-run shows the plan of one project")
    if options.to is not None and "{project}" not in options.to and "{job}" not in options.to:
        raise UsageError(
            "all projects would go to the same place", hint="--to needs {project} or {job} in it"
        )


def _create(wires: Wiring, options: ExportOptions, project: str) -> Job:
    request = job_request(project, options, wires.config, wires.home)
    check_relations(request, wires.source_for(request).relations())
    check_receivers(request)
    return wires.store.create(request)


def _run_one(wires: Wiring, here: Foreground, job_id: int, *, restart: bool) -> None:
    """Run a job unless all are to stop; its error is in the job store and in the closing table."""
    if here.stop.reason is not None:
        return
    try:
        here.run(job_id, restart=restart)
    except PackmuleError as exc:
        wires.message(f"job {job_id}: {exc.message}")


def summary_table(jobs: Sequence[Job]) -> Any:
    """Every job with its end, for people."""
    from rich.table import Table

    table = Table(box=None)
    for heading in ("job", "project", "state", "size", "archive, or what went wrong"):
        table.add_column(heading)
    for job in jobs:
        size = human_bytes(job.archive.size) if job.archive else ""
        end = job.error.message if job.error else place_of(job)
        table.add_row(str(job.id), job.project, str(job.status), size, end)
    return table
