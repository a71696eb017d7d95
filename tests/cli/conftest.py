"""The command line as users have it: in this process, where it is quick, and in one of its own."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.logging_setup import PACKAGES
from cli.main import app
from export_core.sources import SOURCES
from export_core.store import JobStore
from tests import fake_source

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Result:
    """What a command line answered."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


class CommandLine:
    """``packmule`` with its own home and config.toml, the fake source named ``fake`` in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "home"
        self.control = root / "control"
        self.control.mkdir()
        self.config = root / "config.toml"
        self.configure()
        self.environment = {"PACKMULE_HOME": str(self.home), "PACKMULE_CONFIG": str(self.config)}
        self._started: list[subprocess.Popen[str]] = []

    def configure(self, text: str = "", **settings: int) -> None:
        """Write config.toml: ``text`` in front, then the fake source with these settings."""
        lines = [text, "[sources.fake]", 'kind = "fake"', f'control = "{self.control}"']
        self.config.write_text("\n".join([*lines, *(f"{key} = {value}" for key, value in settings.items())]))

    def run(self, *words: str) -> Result:
        """Run it in this process."""
        result = CliRunner().invoke(app, list(words), env=self.environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Result(result.exit_code, result.stdout, result.stderr)

    def start(self, *words: str, **more: Any) -> subprocess.Popen[str]:
        """Start it in a process of its own; it is ended with the test."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.packmule_with_fake", *words],
            cwd=ROOT,
            env={**os.environ, **self.environment},
            text=True,
            **{**pipes, **more},
        )
        self._started.append(process)
        return process

    def call(self, *words: str) -> Result:
        """Run it in a process of its own, to its end."""
        process = self.start(*words)
        out, err = process.communicate(timeout=60)
        return Result(process.returncode, out, err)

    def hang(self, place: str) -> None:
        """Have a part of the fake wait."""
        (self.control / f"hang-{place}").touch()

    def free(self, place: str) -> None:
        """Let it go on."""
        (self.control / f"hang-{place}").unlink()

    def fail(self, place: str) -> None:
        """Have a part of the fake fail."""
        (self.control / f"fail-{place}").touch()

    def heal(self, place: str) -> None:
        """Let it succeed."""
        (self.control / f"fail-{place}").unlink()

    def reads(self) -> list[str]:
        """The parts that were read so far."""
        try:
            return (self.control / "reads").read_text().split()
        except FileNotFoundError:
            return []

    def wait_for(self, what: Callable[[], object], seconds: float = 20) -> None:
        """Wait until something is true."""
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, "it never happened"
            time.sleep(0.01)

    def wait_for_read(self, place: str) -> None:
        """Wait until a part has begun."""
        self.wait_for(lambda: place in self.reads())

    @property
    def store(self) -> JobStore:
        return JobStore(self.home / "packmule.db")

    def end(self) -> None:
        """End every process that was started."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def packmule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    """A command line of one's own."""
    before = dict(SOURCES)
    fake_source.install()
    for name in ("PACKMULE_SOURCE", "PACKMULE_WORKERS", "PACKMULE_NOTIFY", "PACKMULE_COMPRESSION_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    command_line = CommandLine(tmp_path)
    yield command_line
    command_line.end()
    for name in PACKAGES:  # --log-file and --debug are for one run, which here is not a process
        logging.getLogger(name).handlers = []
        logging.getLogger(name).setLevel(logging.NOTSET)
    SOURCES.clear()  # type: ignore[attr-defined]
    SOURCES.update(before)  # type: ignore[attr-defined]
