"""Ctrl-C at a terminal, ``cancel``, ``--restart``: a running export hears within seconds, wherever it is."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import sqlite3
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from export_core.job import JobStatus
from export_core.sources.embedded.instance import EmbeddedInstance
from export_core.workspace import Home
from tests.durability.harness import OTHER_FILE_SYSTEM
from tests.durability.scene import Scene, digest

SOON = 8.0
"""Seconds within which a stop must be over, on a busy machine."""


class Terminal:
    """packmule under a pseudo-terminal of its own; its keys become signals."""

    def __init__(self, scene: Scene, *words: str) -> None:
        self._master, slave = pty.openpty()
        self.process = scene.start(
            *words, stdin=slave, stdout=slave, stderr=slave, preexec_fn=lambda: _own(slave)
        )
        os.close(slave)
        self.text = ""

    def press(self, key: bytes) -> None:
        os.write(self._master, key)

    def read_until(self, words: str) -> None:
        while words not in self.text:
            self.text += os.read(self._master, 65536).decode(errors="replace")

    def end(self) -> int:
        with contextlib.suppress(OSError):  # Linux: EIO when the other end is closed
            while block := os.read(self._master, 65536):
                self.text += block.decode(errors="replace")
        os.close(self._master)
        return self.process.wait(30)


def _own(terminal: int) -> None:
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)


@contextlib.contextmanager
def locked(scene: Scene, table: str) -> Iterator[None]:
    """Somebody holds a lock on a table of the embedded instance, so that reading it waits for ever."""
    instance = EmbeddedInstance(Home(scene.home))
    with instance.session(), psycopg.connect(instance.server.dsn()) as connection:
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield
        connection.rollback()


def waits_for_a_lock(scene: Scene) -> bool:
    with psycopg.connect(EmbeddedInstance(Home(scene.home)).server.dsn(), autocommit=True) as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        return bool(connection.execute(query).fetchall()[0][0])


def test_the_first_ctrl_c_breaks_off_a_statement_that_waits(demo: Scene) -> None:
    """Labels are read by a worker: their ids in planning are read before the lock is taken."""
    target = demo.out / "x.tar.gz"
    demo.good("export", "packmule/demo", "--to", str(demo.out / "wanted.tar.gz"))
    with locked(demo, "notes"):
        terminal = Terminal(demo, "export", "packmule/demo", "--to", str(target), "--no-reuse")
        demo.wait_for(lambda: waits_for_a_lock(demo))
        begun = time.monotonic()
        terminal.press(b"\x03")
        assert terminal.end() == 130
        assert time.monotonic() - begun < SOON
    assert "press Ctrl-C again" in terminal.text
    assert "continue with: packmule resume 2" in terminal.text
    assert demo.store.get(2).status is JobStatus.INTERRUPTED
    demo.good("resume")
    assert digest(target) == digest(demo.out / "wanted.tar.gz")
    demo.nothing_is_left()


def test_ctrl_c_while_the_plan_waits(demo: Scene) -> None:
    with locked(demo, "issues"):
        terminal = Terminal(demo, "export", "packmule/demo")
        demo.wait_for(lambda: waits_for_a_lock(demo))
        assert demo.store.get(1).phase == "planning"
        terminal.press(b"\x03")
        assert terminal.end() == 130
    assert demo.store.get(1).status is JobStatus.INTERRUPTED
    demo.good("resume")
    demo.nothing_is_left()


def test_the_second_ctrl_c_stops_at_once(scene: Scene) -> None:
    (scene.control / "deaf-issues.1").touch()
    target = scene.out / "x.tar.gz"
    terminal = Terminal(scene, "export", "a/b", "--source", "fake", "--to", str(target), "--workers", "1")
    scene.wait_for(lambda: "issues.1" in scene.reads())
    terminal.press(b"\x03")
    terminal.read_until("press Ctrl-C again")
    begun = time.monotonic()
    terminal.press(b"\x03")
    assert terminal.end() == 130
    assert time.monotonic() - begun < SOON
    assert "continue with: packmule resume 1" in terminal.text
    assert scene.store.get(1).status is JobStatus.INTERRUPTED
    (scene.control / "deaf-issues.1").unlink()
    scene.good("resume")
    assert target.exists()
    scene.nothing_is_left()


def asked_of(scene: Scene) -> str | None:
    """What the process of job 1 has been asked to do."""
    with sqlite3.connect(scene.home / "packmule.db") as connection:
        found: str | None = connection.execute("SELECT pending_request FROM jobs").fetchall()[0][0]
    connection.close()
    return found


PLACES = ["claimed:1", "phase-planning:1", "begun:5", "segment:7", "checkpoint:2", "phase-delivering:1"]


@pytest.mark.parametrize("place", [*PLACES, "copying:1"])
def test_cancel_wherever_it_is(large: Scene, place: str, tmp_path: Path) -> None:
    elsewhere = OTHER_FILE_SYSTEM if place.startswith("copying") else large.out
    if not elsewhere.is_dir():
        pytest.skip("there is no other file system")
    target = elsewhere / f"{large.root.name}.tar.gz"
    process = large.held("export", "a/b", "--source", "fake", "--to", str(target), at=place)
    assert (large.home / "jobs" / "1").exists() or place in PLACES[:2]
    cancel = large.start("cancel", "1")
    large.wait_for(lambda: asked_of(large) == "cancel")
    time.sleep(0.5)  # heard by a heartbeat, which comes every 0.1 s here
    begun = time.monotonic()
    ended = large.let_go(process)
    assert ended.code == 3, ended
    assert cancel.wait(20) == 0
    assert time.monotonic() - begun < SOON
    assert large.store.get(1).status is JobStatus.CANCELLED
    assert not target.exists()
    large.nothing_is_left()
    assert [path.name for path in elsewhere.iterdir() if path.name.startswith(".packmule")] == []


def test_cancelling_a_killed_job_tidies_up(large: Scene) -> None:
    large.run("export", "a/b", "--source", "fake", kill="checkpoint:2")
    assert large.leftovers()
    large.good("cancel", "1")
    assert large.store.get(1).status is JobStatus.CANCELLED
    large.nothing_is_left()


def test_cancelling_one_job_leaves_the_others_of_its_process(scene: Scene) -> None:
    for project in ("a/one", "a/two"):
        scene.run("export", project, "--source", "fake", kill="phase-exporting:1")
    scene.hang("issues.2")
    both = scene.start("resume", "--all", "--parallel", "2")
    scene.wait_for(lambda: scene.reads().count("issues.2") == 2)
    scene.good("cancel", "1")
    scene.free("issues.2")
    _, stderr = both.communicate(timeout=30)
    assert both.returncode == 3
    assert "a/one" in stderr
    assert [scene.store.get(job).status for job in (1, 2)] == [JobStatus.CANCELLED, JobStatus.FINISHED]
    scene.nothing_is_left()


def test_the_same_export_twice(scene: Scene) -> None:
    """To another place it just runs; to the same it is refused, and --restart takes it over."""
    one, two = scene.out / "one.tar.gz", scene.out / "two.tar.gz"
    words = ("export", "a/b", "--source", "fake", "--no-reuse", "--to")
    scene.hang("issues.1")
    first = scene.start(*words, str(one))
    scene.wait_for(lambda: scene.reads().count("issues.1") == 1)
    second = scene.start(*words, str(two))
    scene.wait_for(lambda: scene.reads().count("issues.1") == 2)

    refused = scene.run(*words, str(one))
    assert refused.code == 3
    assert "job 1" in refused.stderr

    third = scene.start(*words, str(one), "--restart")
    assert first.wait(30) == 130
    scene.wait_for(lambda: scene.reads().count("issues.1") == 3)
    scene.free("issues.1")
    assert (second.wait(30), third.wait(30)) == (0, 0)
    assert digest(one) == digest(two)
    assert [job.status for job in scene.store.list()] == [JobStatus.FINISHED] * 2
    scene.nothing_is_left()


def test_resume_all_and_resume_of_a_finished_job(scene: Scene) -> None:
    for number, place in enumerate(("finished:3", "checkpoint:1", "stored:1")):
        target = str(scene.out / f"{number}.tar.gz")
        assert scene.run("export", "a/b", "--source", "fake", "--no-reuse", "--to", target, kill=place).killed
    scene.good("resume", "--all")
    assert {job.status for job in scene.store.list()} == {JobStatus.FINISHED}
    assert len({digest(path) for path in scene.out.iterdir()}) == 1
    assert scene.leftovers()  # the third was killed between its end and its tidying up
    ended = scene.good("resume", "3")
    assert "finished already" in ended.stderr
    scene.nothing_is_left()


def test_git_does_not_outlive_a_killed_export(demo: Scene) -> None:
    process = demo.held("export", "packmule/demo", "--workers", "1", at="begun-repository:1")
    process.kill()
    process.wait()
    (demo.control / "held").unlink()
    demo.wait_for(lambda: not [p for p in demo.processes() if "git" in p.name()])
    demo.good("resume")
    demo.nothing_is_left()


def test_a_terminal_that_closes_leaves_a_resumable_job(scene: Scene) -> None:
    scene.hang("issues.1")
    terminal = Terminal(scene, "export", "a/b", "--source", "fake")
    scene.wait_for(lambda: "issues.1" in scene.reads())
    os.close(terminal._master)
    assert terminal.process.wait(20) in (1, 130)  # whatever it says, nobody is there to hear it
    assert scene.store.get(1).status is JobStatus.INTERRUPTED
    scene.free("issues.1")
    scene.good("resume")
    scene.nothing_is_left()


def test_twenty_processes_on_one_store(scene: Scene) -> None:
    exports = [scene.start("export", f"a/p{number}", "--source", "fake") for number in range(6)]
    others: list[subprocess.Popen[str]] = []
    for _ in range(5):
        others += [scene.start("list", "--json"), scene.start("clean", "--yes")]
    for process in [*exports, *others]:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, (out, err)
    assert [job.status for job in scene.store.list()] == [JobStatus.FINISHED] * 6
