"""Jobs as rich tables and trees, for people. Pure: they return what a console then prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.quantities import human_bytes, human_count, human_seconds
from cli.render import age, destination, duration, one_line, relations_of
from export_core.job import Job, JobStatus, PartStatus, RelationState

STATUS_STYLES = {
    JobStatus.QUEUED: "blue",
    JobStatus.STARTED: "yellow",
    JobStatus.FINISHED: "green",
    JobStatus.FAILED: "bold red",
    JobStatus.CANCELLED: "bright_black",
    JobStatus.INTERRUPTED: "magenta",
}
PART_STYLES = {
    PartStatus.QUEUED: "bright_black",
    PartStatus.STARTED: "yellow",
    PartStatus.FINISHED: "green",
    PartStatus.FAILED: "bold red",
}
BAR_WIDTH = 32
"""Cells of the timeline."""


def jobs_table(jobs: Sequence[Job], now: datetime) -> RenderableType:
    """Jobs, one a row."""
    if not jobs:
        return Text("no jobs; packmule export PROJECT makes one")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("job", "age", "took", "size"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("project", overflow="fold")
    table.add_column("destination or error", overflow="fold")
    for job in jobs:
        size = human_bytes(job.archive.size) if job.archive else ""
        cells = (str(job.id), age(job, now), duration(job, now), size)
        table.add_row(*cells, _status(job), Text(job.project), _whereabouts(job))
    return table


def _status(job: Job) -> Text:
    phase = f" ({job.phase})" if job.phase and job.status is JobStatus.STARTED else ""
    return Text(f"{job.status}{phase}", style=STATUS_STYLES[job.status])


def _whereabouts(job: Job) -> Text:
    if job.error is not None:
        return Text(one_line(job.error.message), style="red")
    if job.archive_removed_at is not None:
        return Text("archive removed", style="bright_black")
    return Text(destination(job))


def job_view(job: Job, now: datetime) -> RenderableType:
    """All about one job, from top to bottom."""
    pieces: list[RenderableType] = [_facts(job, now)]
    if job.relations:
        pieces += [Text(), _relations(job.relations)]
    if len(job.snapshots) > 1:
        pieces += [Text(), _mixed(job)]
    if job.warnings:
        pieces += [Text(), Text("warnings", style="bold")]
        pieces += [Text(f"  {warning}", style="yellow") for warning in job.warnings]
    if job.error is not None:
        pieces += [Text(), *_error(job)]
    return Group(*pieces)


def _facts(job: Job, now: datetime) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _fact_rows(job, now):
        if value:
            table.add_row(name, value)
    return table


def _fact_rows(job: Job, now: datetime) -> Iterator[tuple[str, str | Text]]:
    archive, owner = job.archive, job.owner
    yield f"job {job.id}", _status(job)
    yield "project", Text(job.project)
    yield "source", Text(job.request.source)
    yield "strategy", Text(f"{job.request.strategy.name} -> {destination(job)}")
    yield "created", f"{job.created_at} ({age(job, now)} ago)"
    yield "started", job.started_at or ""
    yield "ended", job.finished_at or ""
    yield "took", duration(job, now)
    yield "attempts", str(job.attempts) if job.attempts > 1 else ""
    yield "next attempt", job.retry_at or ""
    yield "run by", f"process {owner.pid} on {owner.host}, heartbeat {job.heartbeat_at}" if owner else ""
    yield (
        "archive",
        Text(f"{archive.path or 'no local copy'} ({human_bytes(archive.size)})" if archive else ""),
    )
    yield "removed", job.archive_removed_at or ""
    yield "sha256", archive.sha256 if archive else ""
    yield "reused from", f"job {job.reused_from}: nothing had changed" if job.reused_from else ""
    yield "snapshot", f"taken {job.snapshots[0].taken_at}" if len(job.snapshots) == 1 else ""


def _relations(relations: Sequence[RelationState]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("relation", no_wrap=True)
    for name in ("lines", "bytes", "parts", "took"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("when", no_wrap=True)
    for relation, bar in zip(relations, timeline(relations, BAR_WIDTH), strict=True):
        done, parts = relation.parts_finished, relation.parts
        table.add_row(
            Text(relation.name, style=PART_STYLES[relation.status]),
            human_count(relation.lines),
            human_bytes(relation.bytes),
            str(parts) if done == parts else f"{done}/{parts}",
            human_seconds(relation.seconds) if relation.started_at else "",
            Text(bar, style=PART_STYLES[relation.status]),
        )
    return table


def timeline(relations: Sequence[RelationState], width: int) -> list[str]:
    """A bar for each relation on one common scale: where it stands is when the relation was worked on.

    A relation that has not ended reaches to the end of what is known; one that has not begun is empty.
    """
    starts = [_seconds(relation.started_at) for relation in relations if relation.started_at]
    ends = [_seconds(relation.finished_at) for relation in relations if relation.finished_at]
    if not starts:
        return [""] * len(relations)
    first, last = min(starts), max(starts + ends)
    scale = width / (last - first) if last > first else 0.0
    return [_bar(relation, first, last, scale).ljust(width) for relation in relations]


def _bar(relation: RelationState, first: float, last: float, scale: float) -> str:
    if relation.started_at is None:
        return ""
    end = _seconds(relation.finished_at) if relation.finished_at else last
    begin_cell = int((_seconds(relation.started_at) - first) * scale)
    end_cell = max(round((end - first) * scale), begin_cell + 1)
    return " " * begin_cell + "━" * (end_cell - begin_cell)


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _mixed(job: Job) -> Group:
    """Which relations came from which snapshot: a mixed export is never hidden."""
    title = Text("read from several snapshots, because the export was interrupted", style="bold yellow")
    lines = [
        Text(f"  {snapshot.number}  {snapshot.taken_at}  {', '.join(names) or 'nothing'}")
        for snapshot in job.snapshots
        for names in (relations_of(snapshot, job.relations),)
    ]
    return Group(title, *lines)


def _error(job: Job) -> Iterator[Text]:
    if job.error is not None:
        yield Text(f"{job.error.kind}: {job.error.message}", style="bold red")
        if job.error.hint:
            yield Text(f"hint: {job.error.hint}")
