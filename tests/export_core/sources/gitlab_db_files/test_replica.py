"""A real read replica: PostgreSQL streams from a primary, and packmule reads the standby."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from export_core.sources.embedded import cluster
from export_core.sources.embedded.instance import EmbeddedInstance
from export_core.sources.embedded.namespaces import create_project_shell
from export_core.sources.embedded.server import EmbeddedServer
from export_core.workspace import Home

ROOT = Path(__file__).parents[4]
PATH = "replicated/project"
LABELS = 2500  # three batches
_PRIMARY = {"wal_level": "replica", "max_wal_senders": "4", "fsync": "off", "shared_buffers": "32MB"}
_STANDBY = {"hot_standby": "on", "max_standby_streaming_delay": "0", "max_standby_archive_delay": "0"}
_COMMAND = "from cli.main import main; main()"
_REPOSITORIES = "repository,wiki_repository,design_repository,snippets_repository"


@dataclass(frozen=True)
class Pair:
    """A primary, its replica, and a packmule of their own."""

    primary: EmbeddedServer
    replica: EmbeddedServer
    root: Path

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A command line in a process of its own."""
        home = {"PACKMULE_HOME": str(self.root / "home"), "PACKMULE_CONFIG": os.devnull}
        return subprocess.Popen(
            [sys.executable, "-c", _COMMAND, *words],
            cwd=ROOT,
            env={**os.environ, **home},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str) -> tuple[int, str]:
        """To its end: exit code, and all that it said."""
        process = self.start(*words)
        said = "".join(process.communicate(timeout=60))
        return process.returncode, said

    def export(self, server: EmbeddedServer, to: str, *words: str) -> tuple[str, ...]:
        """The words of an export of all that is rows."""
        return ("export", PATH, "--source", _url(server), "--to", str(self.root / to), *words)

    def wait_for_replay(self) -> None:
        """Until the replica has what the primary has now."""
        with psycopg.connect(self.primary.dsn()) as connection:
            now = connection.execute("SELECT pg_current_wal_lsn()").fetchall()[0][0]
        with psycopg.connect(self.replica.dsn(), autocommit=True) as connection:
            _until(connection, "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", now)


def _url(server: EmbeddedServer) -> str:
    sockets = server.dsn().split("'")[1]
    return f"postgresql://packmule@/gitlab?host={quote(sockets, safe='')}"


def _until(connection: psycopg.Connection[Any], query: str, *values: Any) -> None:
    deadline = time.monotonic() + 30
    while not connection.execute(query, values).fetchall()[0][0]:
        assert time.monotonic() < deadline, query
        time.sleep(0.02)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """The standby is a copy of the stopped primary's directory, as a backup is."""
    if not (cluster.binaries().parent / "lib" / "libpqwalreceiver.so").exists():
        pytest.skip("this PostgreSQL cannot receive from another")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _PRIMARY.items():
            patch.setitem(cluster.SETTINGS, name, value)
        instance = EmbeddedInstance(Home(tmp_path / "primary"))
        with instance.session(), instance.connect() as connection:
            project = create_project_shell(connection, PATH).project_id
            connection.execute(
                "INSERT INTO labels (title, project_id, type, color)"
                " SELECT 'l' || n, %s, 'ProjectLabel', '#fff' FROM generate_series(1, %s) n",
                (project, LABELS),
            )
        standby = tmp_path / "standby"
        _copy(instance.server.directory, standby)
        with instance.session():
            sockets = instance.server.dsn().split("'")[1]
            told = {**_STANDBY, "primary_conninfo": f"host='{sockets}' user=packmule"}
            for name, value in told.items():
                patch.setitem(cluster.SETTINGS, name, value)
            replica = EmbeddedServer(standby)
            with replica.session():
                found = Pair(instance.server, replica, tmp_path)
                found.wait_for_replay()
                yield found


def _copy(instance: Path, standby: Path) -> None:
    standby.mkdir(mode=0o700)
    subprocess.run(["cp", "-a", str(instance / "cluster"), str(standby / "cluster")], check=True)
    data = standby / "cluster" / "data"
    (data / "standby.signal").touch()
    os.chown(data / "standby.signal", data.stat().st_uid, data.stat().st_gid)


def _members(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        return {name: file.read() for name in tar.getnames() if (file := tar.extractfile(name))}


def test_a_replica_gives_the_archive_that_its_primary_gives(pair: Pair) -> None:
    for name, server in (("primary.tar.gz", pair.primary), ("replica.tar.gz", pair.replica)):
        words = pair.export(server, name, "--workers", "2", "--skip", _REPOSITORIES)
        assert pair.run(*words)[0] == 0
    exported = _members(pair.root / "replica.tar.gz")
    assert exported == _members(pair.root / "primary.tar.gz")
    assert exported["./tree/project/labels.ndjson"].count(b"\n") == LABELS
    code, said = pair.run("doctor", "--source", _url(pair.replica))
    assert code == 0
    assert "a replica" in said
    assert "cancels queries that are in its way at once: set hot_standby_feedback" in said
    assert "a frozen view can be taken and shared between workers" in said


def test_a_conflict_with_recovery_is_explained_and_the_export_can_be_resumed(pair: Pair) -> None:
    words = ("--workers", "1", "--only", "labels", "--pause", "500ms")
    process = pair.start(*pair.export(pair.replica, "conflict.tar.gz", *words))
    held = (
        "SELECT count(*) > 1 FROM pg_stat_activity WHERE datname = 'gitlab' AND state = 'idle in transaction'"
    )
    with psycopg.connect(pair.replica.dsn(), autocommit=True) as connection:
        _until(connection, held)
    with psycopg.connect(pair.primary.dsn(), autocommit=True) as connection:
        connection.execute("DELETE FROM labels WHERE id %% 2 = 0", ())
        connection.execute("VACUUM labels")
    said = "".join(process.communicate(timeout=60))
    assert process.returncode == 5, said
    assert "conflict" in said
    assert "packmule resume" in said
    assert "hot_standby_feedback" in said
    pair.wait_for_replay()
    assert pair.run("resume")[0] == 0
    assert _members(pair.root / "conflict.tar.gz")["./tree/project/labels.ndjson"].count(b"\n") == LABELS // 2
