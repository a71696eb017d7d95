"""Kills exports with SIGKILL at random and at chosen moments, resumes them, and looks whether anything shows.

``python -m tests.durability.harness --kills 250`` does so by hand, with numbers; the tests do a little of it.
An archive must be, byte for byte, that of an undisturbed run; no file and no process may be left; no part may
be read again after it was finished.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from export_core.job import JobStatus
from tests.durability.kill_points import POINTS
from tests.durability.scene import Ended, Scene, digest

FAKE = {"lines": 3000, "parts": 10, "width": 3000, "files": 60, "file_size": 90_000}
"""About 14 MB of archive: several chunks, several checkpoints, deferred files worth some checkpoints."""
FAKE_PROJECT = "group/fake"
OTHER_FILE_SYSTEM = Path("/dev/shm")
MOST_KILLS = 5
"""Kills of one job, at most; the run after them is left alone."""


@dataclass
class Report:
    """What was seen."""

    jobs: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    phases: Counter[str] = field(default_factory=Counter)
    kept: int = 0
    """Finished parts that a resumed run found, summed over all resumes."""
    seconds: float = 0.0

    def __str__(self) -> str:
        places = ", ".join(f"{name} {count}" for name, count in sorted(self.kills.items()))
        phases = ", ".join(f"{name} {count}" for name, count in sorted(self.phases.items()))
        return (
            f"{self.kills.total()} kills in {self.jobs} jobs, {self.seconds:.0f} s; parts kept: {self.kept}\n"
            f"  at: {places}\n  in phase: {phases}"
        )


class Harness:
    """Kills the exports of one project of one scene."""

    def __init__(self, scene: Scene, project: str, *, seed: int, how: str = "KILL") -> None:
        self.scene, self.project, self.how = scene, project, how
        self.source = "fake" if project == FAKE_PROJECT else "embedded"
        self.random = random.Random(seed)
        self.report = Report()
        begun = time.monotonic()
        self.wanted = self._undisturbed()
        self.usual = max(time.monotonic() - begun - 0.4, 0.2)

    def _undisturbed(self) -> str:
        target = self.scene.out / "undisturbed.tar.gz"
        self.scene.good(*self._words(target))
        self.scene.nothing_is_left()
        return digest(target)

    def _words(self, target: Path) -> tuple[str, ...]:
        more = ["--to", str(target), "--no-reuse"]
        if self.random.random() < 0.5:
            more.append("--force")  # then the archive is moved by a rename, else by a link
        return ("export", self.project, "--source", self.source, *more)

    def run(self, kills: int) -> Report:
        """Go on until so many processes were killed; every point is used in turn."""
        begun = time.monotonic()
        specs = self._specs()
        while self.report.kills.total() < kills:
            self._job(specs)
            self.report.jobs += 1
        self.report.seconds = time.monotonic() - begun
        return self.report

    def _specs(self) -> Iterator[str]:
        """For ever: each point in turn, and after each a moment by the clock."""
        while True:
            points = list(POINTS)
            self.random.shuffle(points)
            for name, often in points:
                yield f"{name}:{self.random.randint(1, often)}"
                yield f"after:{self.random.uniform(0, self.usual):.3f}"

    def _job(self, specs: Iterator[str]) -> None:
        """One job, killed some times, then brought to its end and looked at."""
        elsewhere = self.random.random() < 0.4 and OTHER_FILE_SYSTEM.is_dir()
        directory = Path(tempfile.mkdtemp(dir=OTHER_FILE_SYSTEM if elsewhere else self.scene.out))
        target = directory / "x.tar.gz"
        try:
            self._until_done(self._words(target), specs)
            beside = [path.name for path in directory.iterdir()]
            assert beside == ["x.tar.gz"], f"{beside} after {self.report}"
            assert digest(target) == self.wanted, f"another archive after {self.report}"
        finally:
            shutil.rmtree(directory)
        self.scene.nothing_is_left()

    def _until_done(self, words: tuple[str, ...], specs: Iterator[str]) -> None:
        earlier = {job.id for job in self.scene.store.list()}
        left = self.random.randint(1, MOST_KILLS)
        done: set[str] = set()
        while True:
            spec = next(specs) if left else ""
            before = len(self.scene.reads())
            ended = self.scene.run(*words, kill=spec, how=self.how)
            job = next((job for job in self.scene.store.list() if job.id not in earlier), None)
            assert not done & set(self.scene.reads()[before:]), f"finished parts were read again: {spec}"
            if job is not None:
                words = ("resume", str(job.id))
                done = self.scene.finished(job.id)
                self._look(job.id, ended, spec)
            if not ended.killed:
                break
            # By the clock a signal may come before Python has reached packmule's own handlers.
            heard = not spec.startswith("after:") or "job " in ended.stderr
            if self.how != "KILL" and heard:
                # After the job's end, while its place is being said, there is nothing to continue.
                over = job is not None and job.status is JobStatus.FINISHED
                said = "packmule: interrupted" if over else "continue with: packmule resume"
                assert said in ended.stderr, (spec, ended)
            left -= 1
            self.report.kills[spec.partition(":")[0]] += 1
            self.report.phases[str(job.phase) if job else "none"] += 1
            self.report.kept += len(done)
        assert (ended.code, job is not None) == (0, True), (spec, ended)

    def _look(self, job: int, ended: Ended, spec: str) -> None:
        parts = self.scene.parts(job)
        twice = {name: times for name, (_, times, _) in parts.items() if times > 1}
        assert not twice, f"done twice: {twice} after {spec}"
        if ended.code == 0:
            assert {status for status, _, _ in parts.values()} == {"finished"}


def demo_scene(scale: int = 0) -> tuple[Scene, str]:
    """A scene whose embedded instance holds packmule's demo project, and the project's path."""
    scene = Scene()
    scene.good("demo", "--no-export", *(["--scale", str(scale)] if scale else []))
    return scene, f"packmule/scale-{scale}" if scale else "packmule/demo"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=250, help="on the fake source")
    parser.add_argument(
        "--embedded-kills", type=int, default=40, help="on a project of the embedded instance"
    )
    parser.add_argument("--scale", type=int, default=1500, help="issues of that project")
    parser.add_argument("--how", default="KILL", choices=["KILL", "TERM", "INT"])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.kills:
        _attack(Scene(**FAKE), FAKE_PROJECT, options.kills, options)
    if options.embedded_kills:
        _attack(*demo_scene(options.scale), options.embedded_kills, options)


def _attack(scene: Scene, project: str, kills: int, options: argparse.Namespace) -> None:
    try:
        harness = Harness(scene, project, seed=options.seed, how=options.how)
        print(f"{project}, SIG{options.how}:", harness.run(kills))
    finally:
        scene.close()


if __name__ == "__main__":
    sys.exit(main())
