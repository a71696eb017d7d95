"""``packmule doctor``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import typer

from cli.requests import with_settings
from cli.wiring import Wiring, wiring
from export_core.errors import PackmuleError, SourceUnavailable
from export_core.source import Check, CheckStatus

EXAMPLES = ("packmule doctor", "packmule doctor --source production --json")

MARKS = {CheckStatus.OK: "ok     ", CheckStatus.WARNING: "warning", CheckStatus.FAILED: "FAILED "}


def doctor(
    ctx: typer.Context,
    source: Annotated[
        str | None,
        typer.Option(metavar="NAME_OR_URL", help="Default: the source of an export without --source."),
    ] = None,
    source_option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="A setting of the source, on top of its own; repeat."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print all checks as one JSON document.")] = False,
) -> None:
    """Say what this machine and a source can and cannot do.

    Warnings leave the exit code at 0; anything that failed makes it 5.
    """
    wires = wiring(ctx)
    chosen = with_settings(wires.config.find_source(source), source_option or ())
    groups = {"machine": list(_machine(wires)), chosen.name: list(_source(wires, chosen))}
    failed = sum(check.status is CheckStatus.FAILED for checks in groups.values() for check in checks)
    if json:
        wires.print_json(_document(chosen.name, groups, healthy=not failed))
    else:
        _show(wires, groups)
    if failed:
        count = "1 check" if failed == 1 else f"{failed} checks"
        raise SourceUnavailable(
            f"{count} of {chosen.name} and this machine failed", hint="each says above what to do"
        )


def _machine(wires: Wiring) -> Iterable[Check]:
    from export_core.machine import machine_checks

    return machine_checks(wires.home)


def _source(wires: Wiring, chosen: Any) -> Iterator[Check]:
    """The source's own checks; that it cannot even be asked is one of them."""
    try:
        source = wires.source(chosen)
        with source.session():
            yield from source.checks()
    except PackmuleError as exc:
        yield Check.failure("source", exc)


def _document(name: str, groups: dict[str, list[Check]], *, healthy: bool) -> dict[str, Any]:
    checks = [
        {"of": "machine" if group == "machine" else "source", "name": check.name, "status": check.status,
         "message": check.message}
        for group, of_it in groups.items() for check in of_it
    ]  # fmt: skip
    return {"source": name, "healthy": healthy, "checks": checks}


def _show(wires: Wiring, groups: dict[str, list[Check]]) -> None:
    for group, checks in groups.items():
        wires.out(f"{group}:" if group == "machine" else f"source {group}:")
        for check in checks:
            wires.out(f"  {MARKS[check.status]}  {check.name}: {check.message}")
