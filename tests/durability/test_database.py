"""The database goes away in the middle: a connection, the snapshot, the whole server."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from export_core.job import JobStatus
from export_core.sources.embedded.instance import EmbeddedInstance
from export_core.workspace import Home
from tests.durability.scene import Scene, digest

PROJECT = "packmule/demo"


@pytest.fixture
def wanted(demo: Scene) -> str:
    target = demo.out / "wanted.tar.gz"
    demo.good("export", PROJECT, "--to", str(target))
    return digest(target)


@contextmanager
def connected(scene: Scene) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the running embedded server, of a user whose name is not packmule's."""
    dsn = EmbeddedInstance(Home(scene.home)).server.dsn().replace("application_name=packmule", "")
    with psycopg.connect(dsn, autocommit=True, application_name="test") as connection:
        yield connection


def backends(scene: Scene) -> list[int]:
    """packmule's backends, the oldest first: that is the snapshot's holder."""
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'packmule' ORDER BY backend_start"
    with connected(scene) as connection:
        return [row[0] for row in connection.execute(query).fetchall()]


def terminate(scene: Scene, pids: list[int]) -> None:
    assert pids
    with connected(scene) as connection:
        for pid in pids:
            connection.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


def half_done(scene: Scene) -> tuple[Any, Path]:
    """An export that stands still before a part, with others done and read from the database."""
    target = scene.out / "x.tar.gz"
    words = ("export", PROJECT, "--to", str(target), "--no-reuse", "--workers", "1")
    return scene.held(*words, at="begun:15"), target


def test_a_workers_backend_is_killed(demo: Scene, wanted: str) -> None:
    """Its part is tried again at once, on the same snapshot, which its holder still keeps."""
    process, target = half_done(demo)
    terminate(demo, backends(demo)[1:])
    ended = demo.let_go(process)
    assert ended.code == 0, ended
    assert digest(target) == wanted
    assert len(demo.show(2)["snapshots"]) == 1
    assert {times for _, times, _ in demo.parts(2).values()} == {1}
    demo.nothing_is_left()


def test_the_holders_backend_is_killed(demo: Scene, wanted: str) -> None:
    """Who has joined the snapshot keeps it; nothing is lost."""
    process, target = half_done(demo)
    terminate(demo, backends(demo)[:1])
    ended = demo.let_go(process)
    assert ended.code == 0, ended
    assert digest(target) == wanted
    demo.nothing_is_left()


def test_the_holder_and_the_worker_are_killed(demo: Scene, wanted: str) -> None:
    """Then the snapshot is gone: the job fails in clear words, and resume reads the rest from a second."""
    process, target = half_done(demo)
    terminate(demo, backends(demo))
    ended = demo.let_go(process)
    assert ended.code == 5, ended
    assert "snapshot of the export is gone" in ended.stderr
    assert "packmule resume" in ended.stderr
    assert demo.store.get(2).status is JobStatus.FAILED
    done = demo.finished(2)
    assert done

    demo.good("resume")
    shown = demo.show(2)
    assert [snapshot["number"] for snapshot in shown["snapshots"]] == [0, 1]
    assert any("mixes 2 snapshots" in warning for warning in shown["warnings"])
    parts = demo.parts(2)
    assert {number for name, (_, _, number) in parts.items() if name in done} == {0}
    assert {times for _, times, _ in parts.values()} == {1}
    assert digest(target) == wanted, "nothing was changed meanwhile"
    demo.nothing_is_left()


@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGKILL])
def test_the_server_is_restarted(demo: Scene, wanted: str, how: signal.Signals) -> None:
    process, target = half_done(demo)
    instance = EmbeddedInstance(Home(demo.home))
    pid_file = demo.home / "embedded" / "cluster" / "data" / "postmaster.pid"
    os.kill(int(pid_file.read_text().split()[0]), how)
    demo.wait_for(lambda: not instance.server.is_running())
    with instance.session():
        ended = demo.let_go(process)
    assert ended.code in (3, 5), ended
    assert "packmule resume" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert demo.store.get(2).status is JobStatus.FAILED
    demo.good("resume")
    assert digest(target) == wanted
    demo.nothing_is_left()


def test_the_server_is_stopped_and_stays_away(demo: Scene, wanted: str) -> None:
    process, target = half_done(demo)
    EmbeddedInstance(Home(demo.home)).server.stop()
    ended = demo.let_go(process)
    assert ended.code in (3, 5), ended
    assert "packmule resume" in ended.stderr
    demo.good("resume")
    assert digest(target) == wanted
    demo.nothing_is_left()
