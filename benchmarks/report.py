"""What was measured, as a table for people and as JSON for the README's author."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.measure import Run, median
from export_core.sources.embedded.cluster import binaries


@dataclass(frozen=True, slots=True)
class Row:
    """A contender: medians of its runs. Bytes and seconds."""

    name: str
    seconds: float
    ratio: float | None
    """Time against the prototype's; None where the two did not run in turn."""
    cpu: float
    server_cpu: float
    rows: int
    raw: int
    peak_rss: int
    peak_disk: int
    size: int


@dataclass(frozen=True, slots=True)
class Check:
    """A bound, and what was found."""

    what: str
    found: float
    bound: float
    at_least: bool = False

    @property
    def kept(self) -> bool:
        """Whether it holds."""
        return self.found >= self.bound if self.at_least else self.found <= self.bound


def ratio(found: Mapping[str, Sequence[Run]], name: str, other: str) -> float:
    """The time of one against another: median over the rounds, in each of which both ran."""
    return median(mine.wall / its.wall for mine, its in zip(found[name], found[other], strict=True))


def cpu_ratio(found: Mapping[str, Sequence[Run]], name: str, other: str) -> float:
    """The same for CPU time, client and server together."""
    pairs = zip(found[name], found[other], strict=True)
    return median((mine.cpu + mine.server_cpu) / (its.cpu + its.server_cpu) for mine, its in pairs)


def machine() -> str:
    """What it ran on."""
    server = subprocess.run(
        [binaries() / "postgres", "--version"], capture_output=True, text=True, check=True
    )
    return (
        f"{os.cpu_count()} CPUs ({_cpu_name()}), {platform.system()} {platform.release()}, Python"
        f" {platform.python_version()}, {server.stdout.strip()}, psycopg {version('psycopg')},"
        f" isal {version('isal')}"
    )


def _cpu_name() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def as_json(title: str, rows: Sequence[Row], checks: Sequence[Check]) -> dict[str, Any]:
    """Everything, for a machine."""
    return {
        "machine": machine(),
        "title": title,
        "rows": [asdict(row) for row in rows],
        "checks": [{**asdict(check), "kept": check.kept} for check in checks],
    }


def show(title: str, rows: Sequence[Row], checks: Sequence[Check]) -> None:
    """Print the table, and whether the bounds were kept."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=max(Console().width, 140))
    table = Table(title=title, caption=machine())
    table.add_column("")
    for heading in ("time", "ratio", "CPU", "server", "rows/s", "MB/s", "peak RSS", "peak disk", "result"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row.name,
            f"{row.seconds:.2f} s",
            "" if row.ratio is None else f"{row.ratio:.2f}",
            f"{row.cpu:.2f} s",
            f"{row.server_cpu:.2f} s",
            f"{row.rows / row.seconds:,.0f}",
            f"{row.raw / row.seconds / 1e6:,.0f}",
            f"{row.peak_rss / 1e6:,.0f} MB",
            f"{row.peak_disk / 1e6:,.0f} MB",
            f"{row.size / 1e6:,.1f} MB",
        )
    console.print(table)
    for check in checks:
        sign = ">=" if check.at_least else "<="
        console.print(
            f"{'kept  ' if check.kept else 'BROKEN'} {check.what}: {check.found:.2f} ({sign} {check.bound:g})"
        )
