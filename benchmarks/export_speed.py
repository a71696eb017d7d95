"""Exports a project with packmule, and the same rows in other ways, in turn; shows time, memory and disk.

    python -m benchmarks [--scale 2000] [--rounds 5] [--growth-rounds 3] [--json FILE] [--strict]

Makes projects of N and 10 N issues in an embedded instance of its own, below --directory, which is removed
at the end. All contenders find the database running and its data in memory; the runs alternate, and what is
shown are medians. ``ratio`` is the time against the prototype's of the same round. ``--strict`` ends with
exit code 1 when a bound is broken.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import contenders, project, report
from benchmarks.measure import Command, Run, alternately, median, peak_disk, run
from benchmarks.psql_files import a_relation_each, batch_by_batch
from benchmarks.report import Check, Row, cpu_ratio, ratio
from export_core.sources.embedded.instance import EmbeddedInstance
from export_core.workspace import Home


def main(words: Sequence[str] | None = None) -> int:
    """Measure and report."""
    options = _options().parse_args(words)
    place = Path(tempfile.mkdtemp(prefix="packmule-bench-", dir=options.directory))
    try:
        return _measured(place, options)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n\n")[0])
    parser.add_argument("--scale", type=int, default=2000, metavar="N", help="issues (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each contender (default: %(default)s)")
    parser.add_argument("--growth-rounds", type=int, default=3, help="runs with 10 N issues; 0: none")
    parser.add_argument("--directory", type=Path, help="where everything is made (default: the system's)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--strict", action="store_true", help="exit code 1 when a bound is broken")
    return parser


def _measured(place: Path, options: argparse.Namespace) -> int:
    home = Home(place / "home")
    home.root.mkdir()
    instance = EmbeddedInstance(home)
    with instance.session():
        small = project.make(home, options.scale, _say)
        bench = Bench(home, place, small, int(_postmaster(home)))
        rows, checks = bench.compare(options.rounds)
        if options.growth_rounds:
            large = project.make(home, 10 * options.scale, _say)
            more_rows, more_checks = bench.grow(large, options.growth_rounds)
            rows, checks = [*rows, *more_rows], [*checks, *more_checks]
    if options.growth_rounds:
        rows.append(bench.alone(options.growth_rounds))
    title = f"{options.scale:,} issues: {small.rows:,} rows, {bench.raw / 1e6:,.0f} MB of JSON lines"
    report.show(title, rows, checks)
    if options.json:
        options.json.write_text(json.dumps(report.as_json(title, rows, checks), indent=2), encoding="utf-8")
    return 1 if options.strict and not all(check.kept for check in checks) else 0


class Bench:
    """One set of measurements on one running server."""

    def __init__(self, home: Home, place: Path, small: project.Project, postmaster: int) -> None:
        self._home, self._place, self._small, self._postmaster = home, place, small, postmaster
        self.raw = 0
        self._two = self._packmule(small, 2)
        self._measured: list[Run] = []

    def compare(self, rounds: int) -> tuple[list[Row], list[Check]]:
        """The project in all ways."""
        packers = contenders.packers()
        fastest = next(iter(packers))
        commands = {
            contenders.TWO: self._two,
            contenders.ONE: self._packmule(self._small, 1),
            contenders.PROTOTYPE: contenders.prototype(self._small, self._place, 2),
            **{
                _psql(name): contenders.psql(self._small, self._place, words, a_relation_each)
                for name, words in packers.items()
            },
            f"{_psql(fastest)}, batches shared": contenders.psql(
                self._small, self._place, packers[fastest], batch_by_batch
            ),
        }
        disks = {name: self._disk(command) for name, command in commands.items()}  # and warms everything up
        self.raw = raw_size(self._two.result)
        found = alternately(commands, rounds, self._postmaster, _say)
        self._measured = found[contenders.TWO]
        rows = [self._row(name, found, disks[name], commands[name].result) for name in commands]
        checks = _bounds(found, _psql(fastest), rows[0])
        row, more_checks = self._drawing(rounds)
        return [*rows, row], [*checks, *more_checks, *self._start_up(rounds)]

    def _drawing(self, rounds: int) -> tuple[Row, list[Check]]:
        """With and without a picture, one after the other and often: they differ by less than two runs do."""
        drawn, plain = contenders.WITH_PROGRESS, contenders.TWO
        commands = {plain: self._two, drawn: contenders.with_progress(self._two)}
        disk = self._disk(commands[drawn])
        found = alternately(commands, 3 * rounds, self._postmaster, _say)
        checks = [
            Check("drawing progress, time", ratio(found, drawn, plain), 1.02),
            Check("drawing progress, CPU", cpu_ratio(found, drawn, plain), 1.02),
        ]
        return self._row(drawn, found, disk, self._two.result), checks

    def grow(self, large: project.Project, rounds: int) -> tuple[list[Row], list[Check]]:
        """Ten times the project, against the project as it was measured."""
        name = f"{contenders.TWO}, 10 times the size"
        commands = {
            name: self._packmule(large, 2),
            contenders.PROTOTYPE: contenders.prototype(large, self._place, 2),
        }
        commands["small"] = self._two
        disk = self._disk(commands[name])
        raw = raw_size(commands[name].result)
        found = alternately(commands, rounds, self._postmaster, _say)
        row = self._row(name, found, disk, commands[name].result, raw=raw, rows=large.rows)
        rss = median(run.peak_rss for run in found["small"])
        checks = [
            Check("time of 10 times the size", ratio(found, name, "small"), 10.5),
            Check("CPU of 10 times the size", cpu_ratio(found, name, "small"), 10.5),
            Check("peak RSS of 10 times the size", row.peak_rss / rss, 1.1),
            Check(
                "10 times the size: time against the prototype",
                ratio(found, name, contenders.PROTOTYPE),
                1.3,
            ),
            Check("10 times the size: peak disk against the archive", disk / row.size, 1.1),
        ]
        return [row], checks

    def alone(self, rounds: int) -> Row:
        """packmule when nobody else keeps the embedded server running: it is started and stopped."""
        runs = [run(self._two) for _ in range(rounds)]
        return self._row(contenders.ALONE, {contenders.ALONE: runs}, 0, self._two.result)

    def _start_up(self, rounds: int) -> list[Check]:
        """How long it takes to look at something."""
        checks = []
        for words in (["--help"], ["list"]):
            command = contenders.command(self._home, words, self._place / "none")
            seconds = median(run(command).wall for _ in range(rounds + 1))
            checks.append(Check(f"seconds of packmule {words[0]}", seconds, 0.25))
        return checks

    def _packmule(self, of: project.Project, workers: int) -> Command:
        results = self._place / "results"
        results.mkdir(exist_ok=True)
        return contenders.packmule(self._home, of, results / f"{Path(of.path).name}.tar.gz", workers)

    def _disk(self, command: Command) -> int:
        places = [command.result, self._home.jobs, self._home.archives, self._place / "psql"]
        return peak_disk(places, lambda: run(command, self._postmaster))

    def _row(
        self,
        name: str,
        found: Mapping[str, Sequence[Run]],
        disk: int,
        result: Path,
        *,
        raw: int | None = None,
        rows: int | None = None,
    ) -> Row:
        runs = found[name]
        return Row(
            name=name,
            seconds=median(run.wall for run in runs),
            ratio=ratio(found, name, contenders.PROTOTYPE) if contenders.PROTOTYPE in found else None,
            cpu=median(run.cpu for run in runs),
            server_cpu=median(run.server_cpu for run in runs),
            rows=rows or self._small.rows,
            raw=raw or self.raw,
            peak_rss=int(median(run.peak_rss for run in runs)),
            peak_disk=disk,
            size=result.stat().st_size,
        )


def _bounds(found: Mapping[str, Sequence[Run]], psql: str, two: Row) -> list[Check]:
    """The bounds that issue 3 sets, where one project tells them."""
    return [
        Check("time against the prototype", ratio(found, contenders.TWO, contenders.PROTOTYPE), 1.3),
        Check("CPU against the prototype", cpu_ratio(found, contenders.TWO, contenders.PROTOTYPE), 1.3),
        Check(f"time against {psql}", ratio(found, contenders.TWO, psql), 1.0),
        Check("2 workers against 1", ratio(found, contenders.ONE, contenders.TWO), 1.6, at_least=True),
        Check("peak RSS in MB", two.peak_rss / 1e6, 150),
        Check("peak disk against the archive", two.peak_disk / two.size, 1.1),
    ]


def _psql(packer: str) -> str:
    return f"2 psql, tar | {packer}"


def raw_size(archive: Path) -> int:
    """Bytes of the JSON lines in an archive."""
    import tarfile

    with tarfile.open(archive, "r|gz") as members:
        return sum(member.size for member in members if member.name.endswith(".ndjson"))


def _postmaster(home: Home) -> str:
    return (home.embedded / "cluster" / "data" / "postmaster.pid").read_text().splitlines()[0]


def _say(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
