"""``packmule export --group`` and ``--all``: a job for each project, some at a time, a table at the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from cli.commands.export_options import ExportOptions
from cli.destinations import destinations
from cli.render import one_line
from cli.requests import check_receivers, check_relations, chosen_source, job_request
from cli.running import Foreground, exit_code_of, foreground
from export_core.errors import ExportFailed, Interrupted, NotFound, PackmuleError, UsageError
from export_core.job import Job, JobRequest, JobStatus
from export_core.quantities import human_bytes

if TYPE_CHECKING:
    from cli.wiring import Wiring
    from export_core.worker_pool import WorkerPool


def export_many(wires: Wiring, options: ExportOptions) -> int | None:
    """Export every chosen project. Raises ExportFailed at the end if any failed, with exit code 3."""
    _check_words(options)
    source = wires.source(chosen_source(options, wires.config))
    with source.session():
        projects = chosen_projects(source, options)
        if options.dry_run:
            _show_plans(wires, options, source, projects)
            return None
        jobs = _create(wires, options, source, projects)
        if options.queue:
            show_all(wires, jobs, json=options.json, quiet=options.quiet)
            return None
        parallel = options.parallel_projects
        return run_and_tell_all(wires, jobs, parallel=parallel, json=options.json, quiet=options.quiet)


def run_and_tell_all(
    wires: Wiring,
    jobs: Sequence[Job],
    *,
    parallel: int,
    json: bool,
    quiet: bool,
    restart: bool = False,
) -> int:
    """Run jobs, ``parallel`` at a time, and tell what became of each; the exit code.

    They share the worker threads: the heaviest part of all that are under way is begun next. Raises
    Interrupted or ExportFailed after that: the list is printed in any case.
    """
    from export_core.worker_pool import worker_pool

    ids = [job.id for job in jobs]
    with (
        foreground(wires, quiet=quiet or json) as here,
        worker_pool(_workers(jobs)) as pool,
        ThreadPoolExecutor(parallel, thread_name_prefix="job") as runners,
    ):
        runs = [runners.submit(_run_one, wires, here, job_id, pool, restart=restart) for job_id in ids]
    if here.stop.reason is None:
        for run in runs:
            run.result()  # an unexpected fault is not to be lost in its thread
    now = [wires.store.get(job_id) for job_id in ids]
    show_all(wires, now, json=json, quiet=quiet)
    if here.stop.reason is not None:
        raise Interrupted("the exports were interrupted", hint="continue with: packmule resume --all")
    _raise_if_any_failed(now)
    return exit_code_of(now)


def show_all(wires: Wiring, jobs: Sequence[Job], *, json: bool, quiet: bool) -> None:
    """All jobs as one JSON list, or their places on stdout and a table on stderr."""
    if json:
        from cli.render import job_json

        wires.print_json([job_json(job) for job in jobs])
    else:
        if not quiet:
            wires.message(summary_table(jobs))
        for job in jobs:
            if job.status is JobStatus.FINISHED:
                wires.out(job.place or "")


def _raise_if_any_failed(jobs: Sequence[Job]) -> None:
    failed = [job for job in jobs if job.status is not JobStatus.FINISHED]
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


def _create(wires: Wiring, options: ExportOptions, source: Any, projects: Sequence[str]) -> list[Job]:
    """A job for each project, made before the first begins: what is interrupted can be resumed as a whole."""
    requests = _requests(wires, options, projects)
    check_relations(requests[0], source.relations())
    check_receivers(requests[0])
    return [wires.store.create(request) for request in requests]


def _requests(wires: Wiring, options: ExportOptions, projects: Sequence[str]) -> list[JobRequest]:
    places = destinations(options.to, projects, options.strategy, make=not options.dry_run)
    return [
        job_request(project, replace(options, to=to), wires.config, wires.home)
        for project, to in zip(projects, places, strict=True)
    ]


def _show_plans(wires: Wiring, options: ExportOptions, source: Any, projects: Sequence[str]) -> None:
    """What each export would do; in JSON a list, else a line for each project."""
    from cli.dry_run import plan_document, plans_table, read_plan

    requests = _requests(wires, options, projects)
    check_relations(requests[0], source.relations())
    documents = [plan_document(request, read_plan(source, request)) for request in requests]
    if options.json:
        wires.print_json(documents)
    else:
        wires.out(plans_table(documents))


def _workers(jobs: Sequence[Job]) -> int | None:
    """As many as any of them asks for."""
    asked = [job.request.workers for job in jobs]
    return max((count for count in asked if count is not None), default=None)


def _run_one(wires: Wiring, here: Foreground, job_id: int, pool: WorkerPool, *, restart: bool) -> None:
    """Run a job unless all are to stop; its error is in the job store and in the closing table."""
    if here.stop.reason is not None:
        return
    try:
        here.run(job_id, restart=restart, pool=pool)
    except Interrupted as exc:  # it says which job
        wires.message(exc.message)
    except PackmuleError as exc:
        wires.message(f"job {job_id}: {exc.message}")


def summary_table(jobs: Sequence[Job]) -> Any:
    """Every job with its end, for people."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None)
    for heading in ("job", "project", "state", "size", "archive, or what went wrong"):
        table.add_column(heading, overflow="fold")
    for job in jobs:
        size = human_bytes(job.archive.size) if job.archive else ""
        end = one_line(job.error.message) if job.error else job.place or ""
        state = f"{job.status}, incomplete" if job.incomplete else str(job.status)
        table.add_row(str(job.id), Text(job.project), state, size, Text(end))
    return table
