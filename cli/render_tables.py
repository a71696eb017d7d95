"""Jobs as rich tables and trees, for people. Pure: they return what a console then prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cli.render import age, destination, duration, one_line, relations_of
from cli.render_fit import OneLine, printable
from cli.render_relations import RelationsTable
from export_core.job import Job, JobStatus
from export_core.quantities import exact_bytes, human_bytes

STATUS_STYLES = {
    JobStatus.QUEUED: "blue",
    JobStatus.STARTED: "yellow",
    JobStatus.FINISHED: "green",
    JobStatus.FAILED: "bold red",
    JobStatus.CANCELLED: "bright_black",
    JobStatus.INTERRUPTED: "magenta",
}
_NAMES = 14
"""Cells of the names of a job's facts."""
_RIGHT = ("job", "age", "took", "size")
_JOB_COLUMNS = {
    "job": 0, "age": 60, "took": 76, "size": 68, "status": 0, "project": 0, "destination or error": 50,
}  # fmt: skip
"""The columns of ``list``, each from the terminal's width on that has room for it."""


@dataclass(frozen=True, slots=True)
class JobsTable:
    """Jobs, one a line; narrow terminals see fewer columns, ``show`` tells all of a job."""

    jobs: Sequence[Job]
    now: datetime

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        names = [name for name, least in _JOB_COLUMNS.items() if options.max_width >= least]
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in names:
            heading = OneLine(name, keep_start=True)
            table.add_column(heading, justify="right" if name in _RIGHT else "left", no_wrap=name in _RIGHT)
        for job in self.jobs:
            cells = _job_cells(job, self.now)
            table.add_row(*(cells[name] for name in names))
        yield table


def jobs_table(jobs: Sequence[Job], now: datetime) -> RenderableType:
    """Jobs, one a row."""
    return JobsTable(jobs, now) if jobs else Text("no jobs; packmule export PROJECT makes one")


def _job_cells(job: Job, now: datetime) -> dict[str, RenderableType]:
    return {
        "job": str(job.id),
        "age": age(job, now),
        "took": duration(job, now),
        "size": human_bytes(job.archive.size) if job.archive else "",
        "status": _status(job),
        "project": OneLine(job.project),
        "destination or error": _whereabouts(job),
    }


def _status(job: Job) -> Text:
    phase = f" ({job.phase})" if job.phase and job.status is JobStatus.STARTED else ""
    return Text(f"{job.status}{phase}", style=STATUS_STYLES[job.status])


def _whereabouts(job: Job) -> RenderableType:
    if job.error is not None:
        return OneLine(one_line(job.error.message), "red", keep_start=True)
    if job.archive_removed_at is not None:
        return OneLine("archive removed", "bright_black")
    return OneLine(destination(job))


def job_view(job: Job, now: datetime) -> RenderableType:
    """All about one job, from top to bottom."""
    pieces: list[RenderableType] = [*_facts(job, now)]
    if job.relations:
        pieces += [Text(), RelationsTable(job.relations)]
    if len(job.snapshots) > 1:
        pieces += [Text(), _mixed(job)]
    if job.warnings:
        pieces += [Text(), Text("warnings", style="bold")]
        pieces += [_paragraph(warning, "yellow") for warning in job.warnings]
    if job.error is not None:
        pieces += [Text(), *_error(job)]
    return Group(*pieces)


def _paragraph(text: str, style: str = "") -> RenderableType:
    return Padding(Text(one_line(text), style=style, no_wrap=False, overflow="fold"), (0, 0, 0, 2))


def _facts(job: Job, now: datetime) -> Iterator[Text]:
    """One line each, never broken by us: a terminal gives a long path back in one piece when it is copied."""
    for name, value in _fact_rows(job, now):
        if value:
            yield Text.assemble((name.ljust(_NAMES), "bold"), value)


def _fact_rows(job: Job, now: datetime) -> Iterator[tuple[str, str | Text]]:
    archive, owner = job.archive, job.owner
    place, kept = destination(job), archive.path if archive else None
    yield f"job {job.id}", _status(job)
    yield "project", printable(job.project)
    yield "source", printable(job.request.source)
    yield "strategy", job.request.strategy.name
    yield "destination", "" if place == kept else printable(place)
    yield "created", f"{job.created_at} ({age(job, now)} ago)"
    yield "started", job.started_at or ""
    yield "ended", job.finished_at or ""
    yield "took", duration(job, now)
    yield "attempts", str(job.attempts) if job.attempts > 1 else ""
    yield "next attempt", job.retry_at or ""
    yield "run by", f"process {owner.pid} on {owner.host}, heartbeat {job.heartbeat_at}" if owner else ""
    yield "archive", printable(kept or "no local copy") if archive else ""
    yield "size", exact_bytes(archive.size) if archive else ""
    yield "removed", job.archive_removed_at or ""
    yield "sha256", archive.sha256 if archive else ""
    yield "reused from", f"job {job.reused_from}: nothing had changed" if job.reused_from else ""
    yield "snapshot", f"taken {job.snapshots[0].taken_at}" if len(job.snapshots) == 1 else ""


def _mixed(job: Job) -> Group:
    """Which relations came from which snapshot: a mixed export is never hidden."""
    title = Text("read from several snapshots, because the export was interrupted", style="bold yellow")
    lines = [
        _paragraph(f"{snapshot.number}  {snapshot.taken_at}  {', '.join(names) or 'nothing'}")
        for snapshot in job.snapshots
        for names in (relations_of(snapshot, job.relations),)
    ]
    return Group(title, *lines)


def _error(job: Job) -> Iterator[Text]:
    if job.error is not None:
        yield Text(f"{job.error.kind}: {job.error.message}", style="bold red", no_wrap=False, overflow="fold")
        if job.error.hint:
            yield Text(f"hint: {job.error.hint}", no_wrap=False, overflow="fold")
