"""From words to a strategy, and from what was stored back to it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import strategies
from export_core.errors import DestinationUnusable, UsageError
from strategies.words import Words


@pytest.mark.parametrize(
    ("to", "name"),
    [
        (None, "notification"),
        ("out.tar.gz", "move-file"),
        ("/tmp/s3:/x", "move-file"),
        ("s3://bucket/key", "web-upload"),
        ("https://host/x?sig=planted", "web-upload"),
        ("http://host/x", "web-upload"),
        ("embedded:group/new", "import-project"),
    ],
)
def test_the_destination_implies_the_strategy(tmp_path: Path, to: str | None, name: str) -> None:
    choice = strategies.choose(None, Words(to=to, store_dir=str(tmp_path)))
    assert choice.name == name
    assert "planted" not in str(choice.destination)
    stored = json.loads(json.dumps(dict(choice.options)))
    assert strategies.build(choice.name, stored).destination == choice.destination


def test_a_name_wins_over_what_the_destination_implies() -> None:
    choice = strategies.choose("import-project", Words(to="https://gitlab.example.com/group/new"))
    assert choice.name == "import-project"


@pytest.mark.parametrize("name", ["move-file", "web-upload", "import-project"])
def test_a_strategy_that_needs_a_destination_says_so(name: str) -> None:
    with pytest.raises(UsageError, match="needs a destination"):
        strategies.choose(name, Words())


def test_notification_takes_no_destination() -> None:
    with pytest.raises(UsageError, match="takes no --to"):
        strategies.choose("notification", Words(to="/tmp/x", store_dir="/tmp"))


def test_an_unknown_name_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no strategy 'fax'") as error:
        strategies.choose("fax", Words(to="x"))
    assert all(name in str(error.value.hint) for name in strategies.STRATEGIES)


@pytest.mark.parametrize("to", ["ftp://host/x", "file:///x", "s4://bucket/x"])
def test_an_unknown_scheme_is_wrong_usage(to: str) -> None:
    with pytest.raises(UsageError, match="not an http or https URL"):
        strategies.choose(None, Words(to=to))


def test_a_url_is_no_path() -> None:
    with pytest.raises(UsageError, match="takes a path") as error:
        strategies.choose("move-file", Words(to="https://me:planted@host/x?sig=planted"))
    assert "planted" not in error.value.message


def test_standard_output_is_no_file() -> None:
    with pytest.raises(UsageError, match="standard output"):
        strategies.choose(None, Words(to="-"))
    assert strategies.choose(None, Words(to="./-")).destination == str(Path.cwd() / "-")


def test_a_relative_path_is_stored_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert strategies.choose(None, Words(to="x.tar.gz")).destination == str(tmp_path / "x.tar.gz")


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DestinationUnusable):
        strategies.choose(None, Words(to=str(tmp_path)))


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, strategies, strategies.notify, strategies.web_upload_http, strategies.import_gitlab\n"
        "print([m for m in ('httpx', 'boto3', 'apprise', 'gitlab', 'requests') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
