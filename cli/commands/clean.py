"""``packmule clean``."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.cleaning import carry_out, plan, policy_of
from cli.lazy import Context, command_of
from cli.render import cleanup_json, removal_line
from cli.wiring import Wiring, wiring
from export_core.cleaner import Policy, Removal
from export_core.errors import ExportFailed, UsageError
from export_core.quantities import human_bytes, parse_duration
from export_core.removal import Result

if TYPE_CHECKING:
    from export_core.retention import Retention

EXAMPLES = ("packmule clean --dry-run", "packmule clean --older-than 12h --keep-last 1 --failed --yes")


@dataclass(frozen=True, slots=True)
class CleanOptions:
    """The words after ``packmule clean``. Durations: 90s, 30m, 24h, 7d, 2w."""

    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Remove archives older than this (24h).")
    ] = None
    jobs_older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Forget ended jobs older than this (7d).")
    ] = None
    expire_unfinished: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Give up jobs that showed no sign of life for this long (24h)."),
    ] = None
    failed: Annotated[bool, typer.Option("--failed", help="Also remove failed jobs, whatever their age.")] = (
        False
    )
    keep_last: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Keep the last N archives of each project (0).")
    ] = None
    everything: Annotated[
        bool, typer.Option("--all", help="Remove everything but living jobs and what --keep-last keeps.")
    ] = False
    embedded: Annotated[
        bool, typer.Option("--embedded", help="Also remove the embedded instance, if nobody uses it.")
    ] = False
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove without asking.")] = False
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object (needs --dry-run or --yes).")
    ] = False


def run(ctx: Context, options: CleanOptions) -> int:
    """Remove old archives, work directories, orphaned uploads and job rows.

    Ages are those of the job store, never those of files. Running and queued jobs are never touched, nor
    is any file that was moved to a place of yours. An archive that several jobs refer to goes with the last
    of them. The retention settings of config.toml are the defaults. What could not be removed is left to the
    next clean-up. Receivers of --notify are told when an archive or an unfinished job expires.
    """
    wires = wiring(ctx)
    if options.json and not (options.dry_run or options.yes):
        raise UsageError("--json asks no questions", hint="add --dry-run or --yes")
    if not options.dry_run:
        wires.store.use_reserve()
    removals = plan(wires, policy_for(options, wires.config.retention))
    if options.dry_run:
        return _told(wires, options, [Result(removal) for removal in removals])
    if not options.yes and removals:
        _confirm(wires, removals)
        options = replace(options, yes=True)
    return _told(wires, options, carry_out(wires, removals))


clean = command_of(CleanOptions, run)


def policy_for(options: CleanOptions, retention: Retention) -> Policy:
    """The rules of config.toml, changed by the options. Raises UsageError."""
    policy = policy_of(retention)
    given = {
        "archives": options.older_than,
        "jobs": options.jobs_older_than,
        "expire_unfinished": options.expire_unfinished,
    }
    ages: dict[str, Any] = {name: parse_duration(text) for name, text in given.items() if text is not None}
    flags = {name: getattr(options, name) for name in ("failed", "everything", "embedded")}
    keep_last = policy.keep_last if options.keep_last is None else options.keep_last
    return replace(policy, keep_last=keep_last, **ages, **flags)


def _confirm(wires: Wiring, removals: list[Removal]) -> None:
    if not sys.stdin.isatty():
        raise UsageError("clean asks before it removes, and nobody is there to answer", hint="add --yes")
    for removal in removals:
        wires.message(removal_line(Result(removal)))
    if not typer.confirm(f"Remove these {len(removals)}?", err=True):
        raise ExportFailed("nothing was removed")


def _told(wires: Wiring, options: CleanOptions, results: Iterable[Result]) -> int:
    """Print results as they come; the exit code."""
    told: list[Result] = []
    for result in results:
        told.append(result)
        if not options.json:
            wires.out(removal_line(result))
    if options.json:
        wires.print_json(cleanup_json(told, dry_run=options.dry_run))
    else:
        wires.message(_summary(told, dry_run=options.dry_run))
    return ExportFailed.exit_code if any(result.error for result in told) else 0


def _summary(results: list[Result], *, dry_run: bool) -> str:
    if not results:
        return "nothing to clean"
    done = [result for result in results if result.error is None]
    freed = human_bytes(sum(result.removal.size for result in done))
    if dry_run:
        return f"{len(done)} to remove, {freed}"
    return f"{len(done)} of {len(results)} removed, {freed} freed"
