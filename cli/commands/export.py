"""``packmule export``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cli.commands.export_options import ExportOptions
from cli.export_flags import with_default_destination
from cli.lazy import Context, command_of
from cli.requests import check_receivers, check_relations, job_request, same_export
from cli.running import closing_words, exit_code_of, foreground
from cli.wiring import Wiring, wiring
from export_core.errors import JobConflict, PackmuleError, UsageError
from export_core.job import Job, JobRequest, JobStatus

if TYPE_CHECKING:
    from export_core.source import Source

LETS_GO = 60.0
"""Seconds that a running export gets to let go of its job when it is restarted from here."""


EXAMPLES = (
    "packmule export group/project --to project.tar.gz",
    "packmule export group/project --to 's3://bucket/{project}-{date}.tar.gz' --no-local-copy",
    "packmule export group/project --source production --skip lfs_objects --queue",
    "packmule export --group group --source production",
    "packmule export /Sandbox --source wiki --front-matter --to wiki.tar.gz",
)


def run(ctx: Context, options: ExportOptions) -> int | None:
    """Export a project into an archive and hand it on.

    Everything is read from one snapshot, by several threads, and goes where --to says; without --to the
    archive stays in packmule's own store. Its place is printed on stdout, all else on stderr. An
    interrupted export goes on with packmule resume.

    Whoever is on this machine can see the words of a running command. Signed URLs belong into PACKMULE_TO,
    notification URLs into PACKMULE_NOTIFY or config.toml, passwords into PGPASSFILE or the environment.
    """
    wires = wiring(ctx)
    options = with_default_destination(options, wires.config)
    wires.look_only = options.dry_run
    if options.group is not None or options.all_projects:
        from cli.commands.export_many import export_many

        return export_many(wires, options)
    request = job_request(_project(options), options, wires.config, wires.home)
    source = wires.source_for(request)
    check_relations(request, source.relations())
    check_receivers(request)
    if options.dry_run:
        _show_plan(wires, options, request, source)
        return None
    job, restart = _job_for(wires, request, restart=options.restart)
    if options.queue:
        _tell_queued(wires, job, options)
    else:
        job = run_and_tell(wires, job.id, restart=restart, json=options.json, quiet=options.quiet)
        return exit_code_of([job])
    return None


export = command_of(ExportOptions, run)


def run_and_tell(wires: Wiring, job_id: int, *, restart: bool, json: bool, quiet: bool) -> Job:
    """Run a job in the foreground; its place or its JSON on stdout, its JSON also when it fails."""
    began = time.monotonic()
    try:
        with foreground(wires, quiet=quiet or json) as here:
            job = here.run(job_id, restart=restart)
    except PackmuleError:
        if json:
            print_job(wires, wires.store.get(job_id))
        raise
    if json:
        print_job(wires, job)
    else:
        if not quiet:
            wires.message(closing_words(job, time.monotonic() - began))
        wires.out(job.place or "")
    return job


def print_job(wires: Wiring, job: Job) -> None:
    """A job as the JSON document of this run."""
    from cli.render import job_json

    wires.print_json(job_json(job))


def _project(options: ExportOptions) -> str:
    if options.project is None:
        raise UsageError("which project?", hint="packmule export group/project, or --group, or --all")
    if options.include or options.exclude:
        raise UsageError("--include and --exclude choose among the projects of --group or --all")
    return options.project


def _job_for(wires: Wiring, request: JobRequest, *, restart: bool) -> tuple[Job, bool]:
    """The job to run, and whether it starts over. Raises JobConflict when that very export is running."""
    running = _twin(wires, request, JobStatus.STARTED)
    if running is not None and not restart:
        raise JobConflict(
            f"job {running.id} is exporting {request.project} to {running.place} right now",
            hint=f"packmule cancel {running.id} stops it; --restart starts it anew",
        )
    if running is not None:
        _let_go(wires, running)
    old = running or _twin(wires, request, JobStatus.INTERRUPTED)
    if restart and old is not None:
        if old.request == request:
            return old, True
        _replace(wires, old)
    return wires.store.create(request), False


def _twin(wires: Wiring, request: JobRequest, status: JobStatus) -> Job | None:
    """The newest job in a state that makes the same export."""
    jobs = wires.store.list(status=status, project=request.project)
    return next((job for job in jobs if same_export(job, request)), None)


def _replace(wires: Wiring, old: Job) -> None:
    """Give up a job whose place another one takes: resuming it would only be in the way."""
    from cli.cleaning import remove_leftovers

    wires.store.cancel(old.id)
    remove_leftovers(wires, old.id)


def _let_go(wires: Wiring, running: Job) -> None:
    """Ask the process that runs a job to let go of it, and wait until it has."""
    wires.store.request(running.id, "restart")
    deadline = time.monotonic() + LETS_GO
    while wires.store.get(running.id).status is JobStatus.STARTED:
        if time.monotonic() > deadline:
            raise JobConflict(f"job {running.id} does not stop", hint=f"packmule show {running.id}")
        time.sleep(0.1)


def _tell_queued(wires: Wiring, job: Job, options: ExportOptions) -> None:
    if options.json:
        print_job(wires, job)
    else:
        wires.message(f"job {job.id} is queued; packmule work runs it")
        wires.out(str(job.id))


def _show_plan(wires: Wiring, options: ExportOptions, request: JobRequest, source: Source) -> None:
    from cli.dry_run import plan_document, plan_table, read_plan

    document = plan_document(request, read_plan(source, request))
    if options.json:
        wires.print_json(document)
        return
    wires.out(plan_table(document))
    for warning in document["warnings"]:
        wires.message(f"warning: {warning}")
