"""A home in which exports are killed and resumed, and what can be seen of it from outside."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from export_core.store import JobStore

ROOT = Path(__file__).parents[2]
EPOCH = "1700000000"


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def killed(self) -> bool:
        """Killed, or stopped in an orderly way."""
        return self.code in (-9, 130)


class Scene:
    """One PACKMULE_HOME with the fake source named ``fake``; everything below one short directory."""

    def __init__(self, **fake: Any) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="pm-"))  # short: socket paths are limited
        self.home, self.control = self.root / "home", self.root / "control"
        self.out, self.temporary = self.root / "out", self.root / "t"
        for directory in (self.control, self.out, self.temporary):
            directory.mkdir()
        self.config = self.root / "config.toml"
        self.configure(**fake)
        self._started: list[subprocess.Popen[str]] = []

    def configure(self, **fake: Any) -> None:
        """Write the fake source's settings."""
        lines = ["[sources.fake]", 'kind = "fake"', f'control = "{self.control}"']
        self.config.write_text("\n".join([*lines, *(f"{key} = {value!r}" for key, value in fake.items())]))

    def environment(self, **more: str) -> dict[str, str]:
        own = {"PACKMULE_HOME": str(self.home), "PACKMULE_CONFIG": str(self.config)}
        names = ("PACKMULE_SOURCE", "PACKMULE_WORKERS", "PACKMULE_NOTIFY", "DURABILITY_KILL")
        rest = {name: value for name, value in os.environ.items() if name not in names}
        return {**rest, **own, "TMPDIR": str(self.temporary), "SOURCE_DATE_EPOCH": EPOCH, **more}

    def start(self, *words: str, kill: str = "", how: str = "KILL", **more: Any) -> subprocess.Popen[str]:
        """Start packmule; at the point ``kill`` it dies, or what else ``how`` says."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.durability.child", *words],
            cwd=ROOT,
            env=self.environment(
                DURABILITY_KILL=kill, DURABILITY_HOW=how, DURABILITY_CONTROL=str(self.control)
            ),
            text=True,
            **{**pipes, **more},
        )
        self._started.append(process)
        return process

    def run(self, *words: str, kill: str = "", how: str = "KILL", **more: Any) -> Ended:
        """Run packmule to its end."""
        process = self.start(*words, kill=kill, how=how, **more)
        out, err = process.communicate(timeout=120)
        return Ended(process.returncode, out, err)

    def good(self, *words: str) -> Ended:
        """Run packmule; it must succeed."""
        ended = self.run(*words)
        assert ended.code == 0, ended
        return ended

    def show(self, job: int) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.good("show", str(job), "--json").stdout)
        return document

    @property
    def store(self) -> JobStore:
        return JobStore(self.home / "packmule.db")

    def parts(self, job: int) -> dict[str, tuple[str, int, int]]:
        """Every part by ``relation.number``: status, times finished, snapshot."""
        with sqlite3.connect(self.home / "packmule.db") as connection:
            rows = connection.execute(
                "SELECT relation || '.' || number, status, times_finished, snapshot_number FROM parts"
                " WHERE job_id = ?",
                (job,),
            ).fetchall()
        connection.close()
        return {row[0]: tuple(row[1:]) for row in rows}

    def finished(self, job: int) -> set[str]:
        """The parts that are done."""
        return {name for name, (status, _, _) in self.parts(job).items() if status == "finished"}

    def reads(self) -> list[str]:
        """The parts of the fake source that were read so far, in this order."""
        try:
            return (self.control / "reads").read_text().split()
        except FileNotFoundError:
            return []

    def hang(self, place: str) -> None:
        (self.control / f"hang-{place}").touch()

    def held(self, *words: str, at: str) -> subprocess.Popen[str]:
        """Start packmule and wait until it stands still at a point."""
        process = self.start(*words, kill=at, how="hold")
        self.wait_for(lambda: (self.control / "held").exists() or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        return process

    def let_go(self, process: subprocess.Popen[str]) -> Ended:
        """Let a held process go on, to its end."""
        (self.control / "go").touch()
        out, err = process.communicate(timeout=60)
        for name in ("held", "go"):
            (self.control / name).unlink()
        return Ended(process.returncode, out, err)

    def free(self, place: str) -> None:
        (self.control / f"hang-{place}").unlink()

    def wait_for(self, what: Callable[[], object], seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, "it never happened"
            time.sleep(0.01)

    def leftovers(self) -> list[str]:
        """Files that should not be there when no job is unfinished: work directories, temporary files."""
        places = [self.home / "jobs", self.home / "archives", self.temporary]
        found = [path for place in places if place.is_dir() for path in place.rglob("*") if path.is_file()]
        found += list((self.home / "jobs").glob("*")) if (self.home / "jobs").is_dir() else []
        found += list(self.root.rglob(".packmule-*"))
        return sorted(str(path) for path in set(found) if not self._is_kept(path))

    def _is_kept(self, path: Path) -> bool:
        kept = {job.archive.path for job in self.store.list() if job.archive and job.in_store}
        return str(path) in kept

    def processes(self) -> list[psutil.Process]:
        """Processes that belong to this home, but for this one: packmule, git, PostgreSQL."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                return False
            words = "\0".join(process.cmdline())
            return str(self.root) in words or process.environ().get("PACKMULE_HOME") == str(self.home)
        except psutil.Error:
            return False

    def nothing_is_left(self) -> None:
        """Assert that neither files nor processes are left behind."""
        assert self.leftovers() == []
        self.wait_for(lambda: not self.processes(), 10)

    def close(self) -> None:
        """End everything that was started here, and remove it."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()
        for left in self.processes():
            left.kill()
        shutil.rmtree(self.root, ignore_errors=True)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
