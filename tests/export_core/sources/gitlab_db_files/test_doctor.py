"""What doctor says of a GitLab; and that a role that may only read suffices."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import psycopg
import pytest

from export_core.errors import SourceUnavailable
from export_core.source import Check
from export_core.sources.gitlab_db import checks as checks_module
from export_core.sources.gitlab_db.source import GitlabSource
from tests.export_core.sources.gitlab_db_files.s3 import SECRET, Store, moto, store  # noqa: F401
from tests.export_core.sources.gitlab_db_files.world import World, export, make_repository

GRANTS = (
    "GRANT USAGE ON SCHEMA public TO packmule_reader",
    "GRANT SELECT ON ALL TABLES IN SCHEMA public TO packmule_reader",
)
"""What the README tells an administrator to grant, besides CONNECT."""


def found(source: GitlabSource) -> dict[str, Check]:
    return {check.name: check for check in source.checks()}


def statuses(source: GitlabSource) -> dict[str, str]:
    return {name: check.status for name, check in found(source).items()}


@pytest.fixture
def reader(world: World) -> Iterator[str]:
    """The connection string of a role with nothing but GRANTS, on a database that grants nothing to all."""
    world.run("CREATE ROLE packmule_reader LOGIN")
    world.run("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    for grant in GRANTS:
        world.run(grant)
    yield psycopg.conninfo.make_conninfo(world.instance.server.dsn(), user="packmule_reader")
    world.run("GRANT USAGE ON SCHEMA public TO PUBLIC")
    world.run("DROP OWNED BY packmule_reader")
    world.run("DROP ROLE packmule_reader")


def test_a_healthy_one(world: World) -> None:
    shell = world.project()
    make_repository(world.repository(shell.disk_path))
    source = GitlabSource("x", world.source(gitlab_version="18.9.0").settings, str(world.root))
    found_ones = statuses(source)
    for name in ("repositories", "room"):  # other tests' projects lie elsewhere
        found_ones.pop(name, None)
    warnings = {name for name, status in found_ones.items() if status != "ok"}
    assert warnings <= {"repository storage nfs", "bucket of uploads", "bucket of lfs"}, found_ones
    assert {
        "database main", "database main: clock", "database main: timeouts", "database main: snapshot",
        "database main: privileges", "schema", "repository storage default", "uploads", "lfs",
        "external diffs",
    } <= set(found_ones)  # fmt: skip


def test_a_role_that_may_only_read_exports_everything(world: World, reader: str) -> None:
    shell = world.project()
    make_repository(world.repository(shell.disk_path))
    source = world.source(database=reader)
    assert found(source)["database main: privileges"].status == "ok"
    members = export(source, shell.full_path, (), {}).members
    assert {"project.bundle", "tree/project.json", "VERSION"} <= set(members)
    with psycopg.connect(reader) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("UPDATE projects SET name = ''")


def test_privileges_that_are_missing_are_named(world: World, reader: str) -> None:
    world.run("REVOKE SELECT ON notes, labels FROM packmule_reader")
    check = found(world.source(database=reader))["database main: privileges"]
    assert check.status == "failed"
    assert check.message.endswith("GRANT SELECT ON labels, notes TO packmule_reader")
    shell = world.project()
    with pytest.raises(SourceUnavailable, match="labels"):
        export(world.source(database=reader), shell.full_path, ("labels",), {})


def test_a_session_that_may_not_write_and_is_pressed_for_time(world: World, reader: str) -> None:
    """As on a replica, with the timeouts that GitLab's roles have."""
    for setting in (
        "default_transaction_read_only = on", "statement_timeout = '15s'", "transaction_timeout = '1min'",
        "idle_in_transaction_session_timeout = '1min'", "lock_timeout = '1s'",
    ):  # fmt: skip
        world.run(f"ALTER ROLE packmule_reader SET {setting}")
    source = world.source(database=reader)
    assert found(source)["database main: timeouts"].status == "ok"
    shell = world.project()
    assert "tree/project.json" in export(source, shell.full_path, ("project", "issues"), {}).members


def test_a_timeout_that_is_left_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(dsn: str) -> psycopg.Connection:
        connection = psycopg.connect(dsn, autocommit=True)
        connection.execute("SET statement_timeout = 15000")
        return connection

    monkeypatch.setattr(checks_module, "connect", pressed)
    check = found(world.source())["database main: timeouts"]
    assert check.status == "warning"
    assert "statement_timeout = 15000 ms" in check.message


def test_no_server_and_no_gitlab(world: World) -> None:
    check = found(world.source(database="host=/nowhere"))["database main"]
    assert check.status == "failed"
    other = found(world.source(database=world.instance.server.dsn("postgres")))
    assert other["database main: tables"].status == "failed"
    assert "no database of a GitLab" in other["database main: tables"].message


def test_an_older_schema(world: World) -> None:
    """Seen through a schema of views in front, as if the columns and tables were not there."""
    world.run("CREATE SCHEMA older")
    world.run("CREATE VIEW older.labels AS SELECT id, title, project_id, type FROM public.labels")
    world.run("ALTER ROLE CURRENT_USER SET search_path = older, public")
    try:
        check = found(world.source())["schema"]
    finally:
        world.run("ALTER ROLE CURRENT_USER RESET search_path")
        world.run("DROP SCHEMA older CASCADE")
    assert check.status == "warning"
    assert "labels.color" in check.message


class TestFiles:
    """Storages, directories, buckets, room."""

    def test_directories_that_are_not_there(self, world: World) -> None:
        shell = world.project()
        world.insert("project_statistics", project_id=shell.project_id, namespace_id=1, commit_count=1)
        shutil.rmtree(world.root)
        found_ones = statuses(world.source())
        assert [
            found_ones[name] for name in ("repository storage default", "uploads", "lfs", "external diffs")
        ] == ["failed"] * 4
        assert found_ones["repositories"] == "failed"

    def test_a_gitaly_cluster(self, world: World) -> None:
        (world.repositories / "@cluster").mkdir()
        check = found(world.source())["repository storage default"]
        assert check.status == "failed"
        assert "Gitaly Cluster" in check.message

    def test_a_storage_nobody_configured(self, world: World) -> None:
        shell = world.project()
        world.run(
            "UPDATE project_repositories SET shard_id = %s WHERE project_id = %s",
            *(world.shard("ssd-2"), shell.project_id),
        )
        check = found(world.source())["repository storage ssd-2"]
        assert check.status == "warning"
        assert check.message.startswith("1 projects")

    def test_buckets(self, world: World, store: Store) -> None:  # noqa: F811
        settings = store.settings
        settings["buckets"]["lfs"] = "no-such-bucket"
        found_ones = found(world.source(object_storage=settings))
        assert found_ones["bucket of uploads"].status == "ok"
        assert found_ones["bucket of lfs"].status == "failed"
        assert not any(SECRET in check.message for check in found_ones.values())

    def test_files_in_a_storage_nobody_configured(self, world: World) -> None:
        world.lfs(world.project(), "ab" * 32, 1, store=2)
        assert found(world.source())["bucket of lfs"].status == "warning"

    def test_room(self, world: World) -> None:
        shell = world.project()
        world.insert(
            "project_statistics", project_id=shell.project_id, namespace_id=1, repository_size=10**15
        )
        check = found(GitlabSource("x", world.source().settings, str(world.root / "new" / "home")))["room"]
        assert check.status == "warning"
        assert f"{shell.full_path} 1000000.0 GB" in check.message
        world.run("DELETE FROM project_statistics WHERE project_id = %s", shell.project_id)


def test_what_licence_rules_apply(world: World) -> None:
    assert "license = ce" in found(world.source())["licence"].message
    assert "licence" not in found(world.source(license="free"))
    world.insert("licenses", data="x", created_at="2026-01-01", updated_at="2026-01-01")
    try:
        assert "license = licensed" in found(world.source())["licence"].message
    finally:
        world.run("DELETE FROM licenses")


def test_a_replica_that_cancels_queries() -> None:
    """Said from the settings of a server that streams (the last word), or that is fed by files."""

    class Settings:
        def __init__(self, *row: object) -> None:
            self.row = row

        def execute(self, _query: str) -> Settings:
            return self

        def fetchall(self) -> list[tuple[object, ...]]:
            return [self.row]

    rows = [
        ("off", "30s", "-1", True),
        ("on", "30s", "0", True),
        ("off", "-1", "0", True),
        ("on", "-1", "1min", False),
        ("off", "30s", "-1", False),
    ]
    said = [checks_module._feedback("x", Settings(*row)) for row in rows]  # type: ignore[arg-type]
    assert [check.status for check in said] == ["warning", "ok", "ok", "warning", "ok"]
    assert "hot_standby_feedback" in said[0].message
    assert "after 1min: set a longer max_standby_archive_delay" in said[3].message


def test_clocks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import UTC, datetime, timedelta

    class Late(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return datetime.now(UTC) - timedelta(seconds=90)

    monkeypatch.setattr(checks_module, "datetime", Late)
    check = found(world.source())["database main: clock"]
    assert check.status == "warning"
    assert "s ahead of this machine's" in check.message
