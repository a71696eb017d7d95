"""Flags beat the environment, the environment beats the file; mistakes are named with their file."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from cli import config
from cli.config import EMBEDDED, Config, SourceConfig
from export_core.errors import UsageError
from export_core.sources import SOURCES, build
from export_core.workspace import Home
from tests.cli.conftest import CommandLine

FULL = """
source = "production"
workers = 3
compression_level = 0
notify = ["json://localhost/hook"]

[retention]
archives = "2d"
jobs = "1w12h"
expire_unfinished = "90m"
keep_last = 2

[sources.production]
kind = "gitlab-db"
database = "postgresql:///gitlabhq_production"
repositories = { default = "/var/opt/gitlab/git-data/repositories" }

[sources.wiki]
kind = "growi"
url = "mongodb://db/growi"
"""


def load(tmp_path: Path, text: str, **environ: str) -> Config:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return config.load({"PACKMULE_CONFIG": str(path), **environ})


def test_a_whole_file(tmp_path: Path) -> None:
    found = load(tmp_path, FULL)
    assert (found.source, found.workers, found.compression_level) == ("production", 3, 0)
    assert found.notify == ("json://localhost/hook",)
    assert found.retention.archives == timedelta(days=2)
    assert found.retention.jobs == timedelta(days=7, hours=12)
    assert found.retention.expire_unfinished == timedelta(minutes=90)
    assert found.retention.keep_last == 2
    assert found.sources["production"].kind == "gitlab-db"
    assert found.sources["production"].settings["repositories"] == {
        "default": "/var/opt/gitlab/git-data/repositories"
    }
    assert found.find_source(None).name == "production"


def test_without_a_file_there_is_the_embedded_instance(tmp_path: Path) -> None:
    found = config.load({"XDG_CONFIG_HOME": str(tmp_path)})
    assert found.find_source(None) == EMBEDDED
    assert found.retention.archives == timedelta(hours=24)
    assert found.retention.jobs == timedelta(days=7)


def test_the_environment_beats_the_file(tmp_path: Path) -> None:
    found = load(
        tmp_path, FULL, PACKMULE_SOURCE="wiki", PACKMULE_WORKERS="7", PACKMULE_NOTIFY="json://a xml://b"
    )
    assert found.find_source(None).name == "wiki"
    assert found.workers == 7
    assert found.notify == ("json://a", "xml://b")
    assert found.compression_level == 0


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("sorce = 'x'", "sorce"),
        ("[retention]\nweeks = '1w'", "retention.weeks"),
        ("[retention]\njobs = 'soon'", "retention.jobs"),
        ("[retention]\nkeep_last = -1", "keep_last"),
        ("workers = 0", "workers"),
        ("workers = true", "workers"),
        ("notify = 'json://x'", "notify"),
        ("source = 'elsewhere'", "elsewhere"),
        ("sources = 3", "sources"),
        ("[sources.a]\ndatabase = 'x'", "sources.a"),
        ("[sources.a]\nkind = 'oracle'", "oracle"),
        ("[sources.a]\nkind = 'gitlab-db'\nreposotories = 'x'", "reposotories"),
        ("[sources.'a://b']\nkind = 'growi'", "a://b"),
        ("this is not TOML", "TOML"),
        ("\xff", "TOML"),
    ],
)
def test_a_mistake_is_named_with_its_file(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError) as caught:
        config.load({"PACKMULE_CONFIG": str(path)})
    assert named in caught.value.message
    assert str(path) in caught.value.message


def test_a_named_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        config.load({"PACKMULE_CONFIG": str(tmp_path / "none.toml")})


@pytest.mark.parametrize(
    ("url", "name", "kind"),
    [
        (
            "postgresql://me:secret@db:5432/gitlab?password=x",
            "postgresql://***@db:5432/gitlab?***",
            "gitlab-db",
        ),
        ("postgres:///gitlab", "postgres:///gitlab", "gitlab-db"),
        ("mongodb://me:secret@db/growi", "mongodb://***@db/growi", "growi"),
        ("mongodb+srv://db/growi", "mongodb+srv://db/growi", "growi"),
        ("growi+https://wiki.example.com", "growi+https://wiki.example.com", "growi"),
    ],
)
def test_a_source_by_its_url_is_shown_without_secrets(url: str, name: str, kind: str) -> None:
    assert Config().find_source(url) == SourceConfig(name, kind, {"url": url})


def test_omnibus_needs_no_configuration() -> None:
    assert Config().find_source("omnibus").kind == "omnibus"


@pytest.mark.parametrize("wanted", ["nothing", "mysql://db/x", "https://gitlab.example.com"])
def test_a_source_that_nobody_knows(wanted: str) -> None:
    with pytest.raises(UsageError) as caught:
        Config().find_source(wanted)
    assert wanted in caught.value.message
    assert caught.value.hint


def test_key_value_words_are_not_repeated() -> None:
    with pytest.raises(UsageError, match="takes a name or a URL") as caught:
        Config().find_source("host=db password=planted")
    assert "planted" not in caught.value.message


def test_every_kind_of_source_says_what_it_understands(tmp_path: Path) -> None:
    for kind in SOURCES:
        with pytest.raises(UsageError) as caught:
            build(kind, "x", {"nonsense": 1}, Home(tmp_path))
        assert "nonsense" in caught.value.message


def test_the_command_line_reports_a_mistake_in_the_file(packmule: CommandLine) -> None:
    packmule.config.write_text("sorce = 1")
    result = packmule.run("export", "a/b")
    assert result.exit_code == 2
    assert str(packmule.config) in result.stderr
    assert "sorce" in result.stderr


class TestHome:
    """``PACKMULE_HOME``."""

    def test_it_is_made_for_its_owner_alone(self, packmule: CommandLine) -> None:
        import os

        before = os.umask(0)
        try:
            packmule.run("list")
        finally:
            os.umask(before)
        assert packmule.home.stat().st_mode & 0o777 == 0o700

    def test_a_place_that_cannot_be_used(self, packmule: CommandLine) -> None:
        packmule.home.write_text("a file")
        result = packmule.run("list")
        assert result.exit_code == 1
        assert str(packmule.home) in result.stderr
        assert "PACKMULE_HOME" in result.stderr

    def test_the_default_is_in_the_users_data_directory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_DATA_HOME", "/somewhere")
        assert config.home_directory({}) == Path("/somewhere/packmule")
        assert config.home_directory({"PACKMULE_HOME": "/else"}) == Path("/else")
