"""From config.toml, a URL with options, and an Omnibus machine to settings; secrets stay where they are."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict

from cli.config import source_of_url
from cli.requests import with_settings
from export_core.errors import NotFound, PackmuleError, SourceUnavailable, UsageError
from export_core.sources import build
from export_core.sources.gitlab_db import omnibus
from export_core.sources.gitlab_db.configured import gitlab_settings
from export_core.sources.gitlab_db.connections import connect
from export_core.sources.gitlab_db.object_storage import Objects
from export_core.sources.gitlab_db.settings import GitlabSettings
from export_core.workspace import Home
from tests.export_core.sources.gitlab_db_files.world import World, put

SECRET = "planted-s3cret"
URL = f"postgresql://reader:{SECRET}@db.example.com/gitlabhq_production"


def settings(**more: Any) -> GitlabSettings:
    return gitlab_settings("production", {"database": URL, **more})


def test_everything_that_can_be_said() -> None:
    found = settings(
        ci_database="dbname=ci",
        repositories={"default": "/r", "nfs": "/n"},
        shared="/s",
        uploads="/srv/gitlab/public",
        object_storage={"endpoint": "https://s3.example.com", "buckets": {"lfs": "b/prefix"}},
        gitlab_version="17.2.0-ee",
        license="licensed",
    )
    assert (found.databases.main, found.databases.ci, found.databases.sec) == (URL, "dbname=ci", None)
    assert found.databases.separate() == ("main", "ci")
    assert str(found.storage.repository("nfs", "a/b")) == "/n/a/b.git"
    assert found.storage.lfs_objects == "/s/lfs-objects"
    assert found.storage.external_diffs == "/s/external-diffs"
    assert found.storage.uploads == "/srv/gitlab/public/uploads"
    assert found.object_storage is not None
    assert found.object_storage.buckets == {"lfs": "b/prefix"}
    assert (found.gitlab_version, found.rules.license) == ("17.2.0-ee", "licensed")


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"database": ""}, "database"),
        ({"database": 5}, "database"),
        ({"database": "postgresql://u:p%zz@h/d"}, "database"),
        ({"database": f"postgresql://u:{SECRET}@[h/d"}, "database"),
        ({"database": f"postgresql://u:p@{SECRET}@h:5432/d"}, "database"),
        ({"ci_database": f"password={SECRET} nonsense"}, "ci_database"),
        ({"url": "postgresql:///x"}, "database"),
        ({"repositories": ["/a"]}, "repositories"),
        ({"repositories": {"default": 1}}, "repositories"),
        ({"repositories": "relative/path"}, "repositories"),
        ({"uploads": "relative"}, "uploads"),
        ({"object_storage": "s3://b"}, "object_storage"),
        ({"object_storage": {"bucket": "b"}}, "'bucket'"),
        ({"object_storage": {"buckets": {"artifacts": "b"}}}, "'artifacts'"),
        ({"object_storage": {"secret_access_key": SECRET}}, "access_key_id"),
        ({"object_storage": {"endpoint": "s3.example.com"}}, "endpoint"),
        ({"license": "gold"}, "license"),
        ({"pause": "often"}, "pause"),
        ({"max_db_load": 2}, "max_db_load"),
        ({"pages_https": "perhaps"}, "pages_https"),
        ({"password_env": "PACKMULE_TEST_NOT_SET"}, "PACKMULE_TEST_NOT_SET"),
    ],
)
def test_what_is_wrong_is_named_and_no_secret_shown(wrong: dict[str, Any], word: str) -> None:
    with pytest.raises(UsageError) as error:
        settings(**wrong)
    said = f"{error.value.message} {error.value.hint}"
    assert "source production" in said
    assert word in said
    assert SECRET not in said
    assert "p%zz" not in said


def test_a_url_with_options(tmp_path: Path) -> None:
    config = source_of_url(URL)
    assert SECRET not in config.name
    texts = ("repositories=/one", "object_storage.buckets.lfs=b/p", "object_storage.region=eu-1")
    source: Any = build(*_kind(with_settings(config, texts)), Home(tmp_path))
    assert source.settings.storage.repositories == {"default": "/one"}
    assert source.settings.object_storage.region == "eu-1"
    several = with_settings(config, ("repositories.a=/one", "repositories.b=/two"))
    assert several.settings["repositories"] == {"a": "/one", "b": "/two"}
    with pytest.raises(UsageError):
        with_settings(config, ("repository=/one",))


def _kind(config: Any) -> tuple[str, str, Any]:
    return config.kind, config.name, config.settings


class TestPasswords:
    """From the URL, PGPASSFILE, the environment, the keyring."""

    @pytest.fixture
    def dsn(self, world: World) -> str:
        """The connection string, without password, of a role that must give one."""
        world.run("DROP ROLE IF EXISTS needs_password")
        world.run(f"CREATE ROLE needs_password LOGIN PASSWORD '{SECRET}'")
        (place,) = world.run("SHOW hba_file")[0]
        rules = Path(place)
        line = "local all needs_password scram-sha-256\n"
        if line not in rules.read_text():
            rules.write_text(line + rules.read_text())
            world.run("SELECT pg_reload_conf()")
            _until_asked(world)
        parts = conninfo_to_dict(world.instance.server.dsn())
        return psycopg.conninfo.make_conninfo("", **{**parts, "user": "needs_password"})

    def connects(self, **settings: str) -> bool:
        with connect(gitlab_settings("x", settings).databases.main) as connection:
            return bool(connection.execute("SELECT current_user = 'needs_password'").fetchall()[0][0])

    def test_environment(self, dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OUR_PASSWORD", SECRET)
        assert self.connects(database=dsn, password_env="OUR_PASSWORD")

    def test_pgpassfile(self, dsn: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / "pgpass").write_text(f"*:*:*:needs_password:{SECRET}\n")
        (tmp_path / "pgpass").chmod(0o600)
        monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
        assert self.connects(database=dsn)

    def test_keyring(self, dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
        import keyring

        given = {("packmule", "production"): SECRET}
        monkeypatch.setattr(keyring, "get_password", lambda service, user: given.get((service, user)))
        assert self.connects(database=dsn, password_keyring="packmule/production")
        with pytest.raises(UsageError):
            self.connects(database=dsn, password_keyring="packmule/other")

    def test_a_wrong_one_is_refused_and_not_shown(self, dsn: str) -> None:
        for password in ("wrong-planted", "needs_passwords", "%"):
            with pytest.raises(SourceUnavailable) as error:
                connect(psycopg.conninfo.make_conninfo(dsn, password=password))
            assert password not in f"{error.value.message} {error.value.hint}"
        assert "PGPASSFILE" in (error.value.hint or "")

    def test_nowhere_to_be_seen(self, world: World, dsn: str) -> None:
        shell = world.project()
        full = psycopg.conninfo.make_conninfo(dsn, password=SECRET)
        world.run("GRANT SELECT ON ALL TABLES IN SCHEMA public TO needs_password")
        source = world.source(database=full)
        snapshot = source.open(shell.full_path, {})
        shown = [
            snapshot.token,
            json.dumps(dict(snapshot.details)),
            snapshot.taken_at,
            repr(source),
            str(source),
        ]
        snapshot.close()
        shown += [f"{check.message}" for check in source.checks()]
        with pytest.raises(NotFound) as error:
            source.open("no/such", {})
        shown.append(str(error.value))
        assert SECRET not in " ".join(shown)
        assert pickle.loads(pickle.dumps(source)) == source
        world.run("DROP OWNED BY needs_password")

    def test_a_server_that_is_not_there(self) -> None:
        for dsn in (
            f"postgresql://u:{SECRET}@127.0.0.1:1/x",
            f"host=/nowhere-{SECRET} password=/nowhere-{SECRET}",
        ):
            with pytest.raises(SourceUnavailable) as error:
                connect(dsn)
            assert SECRET not in error.value.message


def _until_asked(world: World) -> None:
    """A reload takes the server a moment."""
    dsn = psycopg.conninfo.make_conninfo(world.instance.server.dsn(), user="needs_password")
    for _ in range(500):
        try:
            psycopg.connect(dsn).close()
        except psycopg.OperationalError:
            return
    raise AssertionError("the server does not ask for a password")


class TestOmnibus:
    """A machine with the package, below a root of the test's own."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        rails = "var/opt/gitlab/gitlab-rails"
        main = {
            "adapter": "postgresql", "database": "gitlabhq_production", "username": "gitlab",
            "password": None, "host": "/var/opt/gitlab/postgresql", "port": 5432,
        }  # fmt: skip
        databases = {"production": {"main": main, "ci": {**main, "database_tasks": False}}}
        put(tmp_path / rails / "etc/database.yml", yaml.safe_dump(databases).encode())
        connection = {
            "provider": "AWS", "region": "eu-1", "aws_access_key_id": "AKIA", "aws_secret_access_key": SECRET,
            "endpoint": "https://s3.example.com",
        }  # fmt: skip
        gitlab = {
            "production": {
                "lfs": {"storage_path": "/srv/lfs"},
                "pages": {"external_https": True},
                "object_store": {
                    "enabled": True,
                    "connection": connection,
                    "objects": {"uploads": {"bucket": "up/x"}, "external_diffs": {"bucket": "diffs"}},
                },
            }
        }
        put(tmp_path / rails / "etc/gitlab.yml", yaml.safe_dump(gitlab).encode())
        gitaly = (
            '[[storage]]\nname = "default"\npath = "/srv/repos"\n[[storage]]\nname = "nfs"\npath = "/mnt"\n'
        )
        put(tmp_path / "var/opt/gitlab/gitaly/config.toml", gitaly.encode())
        put(tmp_path / "opt/gitlab/embedded/service/gitlab-rails/VERSION", b"18.4.1-ee\n")
        put(tmp_path / "opt/gitlab/embedded/service/gitlab-rails/REVISION", b"0123abcdef0\n")
        return tmp_path

    def test_all_of_it_is_found(self, root: Path, tmp_path: Path) -> None:
        source: Any = omnibus.build("omnibus", {"root": str(root)}, Home(tmp_path))
        found: GitlabSettings = source.settings
        parts = conninfo_to_dict(found.databases.main)
        assert (parts["host"], parts["user"]) == ("/var/opt/gitlab/postgresql", "gitlab")
        assert (parts["dbname"], parts["port"]) == ("gitlabhq_production", "5432")
        assert found.databases.separate() == ("main",)
        assert found.storage.repositories == {"default": "/srv/repos", "nfs": "/mnt"}
        assert found.storage.lfs_objects == "/srv/lfs"
        shared = root / "var/opt/gitlab/gitlab-rails/shared"
        assert found.storage.external_diffs == str(shared / "external-diffs")
        assert found.storage.uploads == str(root / "var/opt/gitlab/gitlab-rails/uploads")
        assert found.object_storage is not None
        assert found.object_storage.buckets == {"uploads": "up/x", "external_diffs": "diffs"}
        assert found.object_storage.secret_access_key == SECRET
        assert SECRET not in repr(source)
        assert (found.gitlab_version, found.gitlab_revision) == ("18.4.1-ee", "0123abcdef0")
        assert found.rules.pages_https

    def test_what_is_given_goes_before(self, root: Path, tmp_path: Path) -> None:
        given = {"root": str(root), "database": "host=replica", "gitlab_version": "1"}
        source: Any = omnibus.build("omnibus", given, Home(tmp_path))
        assert source.settings.databases.main == "host=replica"
        assert source.settings.gitlab_version == "1"

    def test_a_flat_file_and_a_bucket_a_type(self, root: Path, tmp_path: Path) -> None:
        """As versions before 15 and installations of long standing have it."""
        etc = root / "var/opt/gitlab/gitlab-rails/etc"
        put(etc / "database.yml", b"production:\n  database: old\n  host: db\n")
        own = {"enabled": True, "remote_directory": "lfs-b", "connection": {"provider": "AWS", "region": "r"}}
        put(etc / "gitlab.yml", yaml.safe_dump({"production": {"lfs": {"object_store": own}}}).encode())
        source: Any = omnibus.build("omnibus", {"root": str(root)}, Home(tmp_path))
        assert conninfo_to_dict(source.settings.databases.main) == {"dbname": "old", "host": "db"}
        assert source.settings.object_storage.buckets == {"lfs": "lfs-b"}

    @pytest.mark.parametrize(
        ("provider", "way"), [("Google", "storage.googleapis.com"), ("AzureRM", "gateway")]
    )
    def test_a_storage_that_does_not_speak_s3(
        self, root: Path, tmp_path: Path, provider: str, way: str
    ) -> None:
        etc = root / "var/opt/gitlab/gitlab-rails/etc"
        put(etc / "database.yml", b"production:\n  database: old\n  host: db\n")
        store = {
            "enabled": True, "connection": {"provider": provider}, "objects": {"uploads": {"bucket": "up"}}
        }  # fmt: skip
        put(etc / "gitlab.yml", yaml.safe_dump({"production": {"object_store": store}}).encode())
        source: Any = omnibus.build("omnibus", {"root": str(root)}, Home(tmp_path))
        with pytest.raises(SourceUnavailable, match=provider) as error:
            Objects(source.settings.object_storage).check("uploads")
        assert way in (error.value.hint or "")

    def test_no_omnibus_and_broken_files(self, root: Path, tmp_path: Path) -> None:
        with pytest.raises(SourceUnavailable, match="no Omnibus"):
            omnibus.build("omnibus", {"root": str(tmp_path / "other")}, Home(tmp_path))
        put(root / "var/opt/gitlab/gitaly/config.toml", b"[[storage")
        with pytest.raises(PackmuleError):
            omnibus.build("omnibus", {"root": str(root)}, Home(tmp_path))
