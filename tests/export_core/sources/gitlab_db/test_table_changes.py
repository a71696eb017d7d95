"""Somebody alters, empties or drops tables while an export is running."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from export_core.errors import ExportFailed, RelationFailed, SourceInterrupted
from export_core.source import Selection
from export_core.sources.gitlab_db import connections
from export_core.sources.gitlab_db.catalog import read_catalog
from export_core.sources.gitlab_db.planning import FILE_RELATIONS
from export_core.sources.gitlab_db.source import GitlabSource
from export_core.sources.gitlab_db.tables import TABLES
from tests.export_core.sources.gitlab_db.conftest import RealGitlab
from tests.export_core.sources.gitlab_db.databases import copied
from tests.export_core.sources.gitlab_db.product_runs import Collected
from tests.export_core.sources.gitlab_db.surroundings import PATHS

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'ddl'"


@pytest.fixture
def changeable(gitlab: RealGitlab, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(connections, "LOCK_SECONDS", 1)
    with copied(gitlab.dsn, "gitlab_changed") as name:
        yield name


def _at_once(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn, autocommit=True, options="-c lock_timeout=100") as db:
        db.execute(statement.encode())


class _Waiting:
    """A statement on a connection of its own, that waits for a table."""

    def __init__(self, dsn: str, statement: str) -> None:
        self._thread = threading.Thread(target=self._run, args=(dsn, statement))
        self._thread.start()
        with psycopg.connect(dsn, autocommit=True) as db:
            while db.execute(WAITING).fetchall() == [(0,)]:
                time.sleep(0.01)

    def _run(self, dsn: str, statement: str) -> None:
        with psycopg.connect(dsn, autocommit=True, application_name="ddl") as db:
            db.execute(statement.encode())

    def ended(self) -> bool:
        self._thread.join(10)
        return not self._thread.is_alive()


@pytest.mark.parametrize("statement", ["TRUNCATE suggestions", "DROP TABLE release_links CASCADE"])
def test_what_a_snapshot_has_not_read_yet_stays_for_it(
    gitlab: RealGitlab, changeable: str, statement: str
) -> None:
    """PostgreSQL shows an emptied table as empty to older snapshots too, so that only a lock helps."""
    snapshot = GitlabSource("test", gitlab.settings(changeable)).open(PATHS[0], {})
    with pytest.raises(psycopg.errors.LockNotAvailable):
        _at_once(gitlab.dsn(changeable), statement)
    snapshot.close()
    _at_once(gitlab.dsn(changeable), statement)


def test_a_reader_gives_way_to_somebody_who_drops_its_table(gitlab: RealGitlab, changeable: str) -> None:
    source = GitlabSource("test", gitlab.settings(changeable))
    snapshot = source.open(PATHS[0], {})
    part = next(
        part for part in snapshot.plan(Selection(skip=FILE_RELATIONS)).parts if part.relation == "releases"
    )
    reader = source.reader(snapshot.token)
    drop = _Waiting(gitlab.dsn(changeable), "DROP TABLE releases CASCADE")
    try:
        with pytest.raises(RelationFailed, match=r"releases .*somebody changes a table") as failed:
            reader.read(part, Collected())
    finally:
        reader.close()
        snapshot.close()
    assert "packmule resume" in (failed.value.hint or "")
    assert drop.ended()


def test_a_table_that_is_gone_when_a_job_is_resumed(gitlab: RealGitlab, changeable: str) -> None:
    source = GitlabSource("test", gitlab.settings(changeable))
    snapshot = source.open(PATHS[0], {})
    parts = snapshot.plan(Selection(skip=FILE_RELATIONS)).parts
    snapshot.close()
    _at_once(gitlab.dsn(changeable), "DROP TABLE releases CASCADE")
    later = source.open(PATHS[0], {})
    try:
        with pytest.raises(ExportFailed, match=r"tables have changed .*releases") as failed:
            later.refresh(next(part for part in parts if part.relation == "releases"))
    finally:
        later.close()
    assert "--restart" in (failed.value.hint or "")


def test_a_snapshot_is_not_taken_in_the_middle_of_a_change(gitlab: RealGitlab, changeable: str) -> None:
    source = GitlabSource("test", gitlab.settings(changeable))
    with psycopg.connect(gitlab.dsn(changeable)) as db:
        db.execute("LOCK TABLE releases IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(SourceInterrupted, match="somebody changes a table"):
            source.open(PATHS[0], {})
    source.open(PATHS[0], {}).close()


def test_tables_that_the_role_may_not_read_are_passed_over(gitlab: RealGitlab, changeable: str) -> None:
    dsn = gitlab.dsn(changeable)
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute("CREATE ROLE nearly_all LOGIN")
        db.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO nearly_all")
        db.execute("REVOKE SELECT ON licenses FROM nearly_all")
    try:
        with psycopg.connect(dsn.replace("user=packmule", "user=nearly_all"), autocommit=True) as db:
            catalog = read_catalog(db, TABLES)
            connections.freeze(db)
            connections.keep_tables(db, catalog)
    finally:
        with psycopg.connect(dsn, autocommit=True) as db:
            db.execute("DROP OWNED BY nearly_all")
            db.execute("DROP ROLE nearly_all")
