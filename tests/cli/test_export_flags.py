"""Flags that some sources and destinations understand: obeyed, or refused, never passed over."""

from __future__ import annotations

import sqlite3
import tarfile
import time
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine
from tests.strategies.servers import Answer, HttpServer

WIKI = ("--source", "growi+demo://")


def files(archive: Path) -> dict[str, str]:
    with tarfile.open(archive) as tar:
        found = {member.name: tar.extractfile(member) for member in tar if member.isfile()}
        return {name: stream.read().decode(errors="replace") for name, stream in found.items() if stream}


def exported(packmule: CommandLine, *words: str) -> dict[str, str]:
    target = packmule.root / "wiki.tar.gz"
    done = packmule.run("export", "/", *WIKI, "--to", str(target), "--force", *words)
    assert done.exit_code == 0, done.stderr
    return files(target)


def test_what_a_wiki_leaves_out_unless_asked(packmule: CommandLine) -> None:
    plain = exported(packmule)
    assert "trash/Sandbox/Gone.md" not in plain
    assert "Drafts/Plan.md" not in plain
    assert not plain["Sandbox/Math.md"].startswith("---\n")
    assert any(name.startswith("_attachments/") for name in plain)
    full = exported(packmule, "--trash", "--drafts", "--front-matter")
    assert full["trash/Sandbox/Gone.md"].endswith("# Gone\n")
    assert full["Drafts/Plan.md"].endswith("# Plan\n\nNot ready.\n")
    assert all(text.startswith("---\n") for name, text in full.items() if name.endswith(".md"))
    assert 'title: "Math"' in full["Sandbox/Math.md"] or "title: Math\n" in full["Sandbox/Math.md"]


@pytest.mark.parametrize("words", [("--skip", "attachments"), ("--only", "pages,index")], ids=" ".join)
def test_attachments_that_are_not_wanted_are_not_asked_for(
    packmule: CommandLine, words: tuple[str, str]
) -> None:
    plain = exported(packmule, *words)
    assert not any(name.startswith("_attachments/") for name in plain)
    assert "pixel" in exported(packmule)["pages.json"]
    assert "pixel" not in plain["pages.json"]
    with sqlite3.connect(packmule.home / "packmule.db") as db:
        [(request,), _] = db.execute("SELECT request FROM jobs ORDER BY id")
    assert '"attachments": false' in request.replace('":false', '": false')


@pytest.mark.parametrize(
    ("words", "flag", "told"),
    [
        (("a/b", "--source", "fake", "--trash"), "--trash", "growi"),
        (("a/b", "--source", "fake", "--drafts"), "--drafts", "growi"),
        (("a/b", "--front-matter"), "--front-matter", "growi"),
        (("/", *WIKI, "--max-db-load", "0.5"), "--max-db-load", "gitlab-db"),
        (("/", *WIKI, "--pause", "1s"), "--pause", "gitlab-db"),
        (("a/b", "--source", "fake", "--force"), "--force", "--to PATH"),
        (("a/b", "--source", "fake", "--to", "x.tar.gz", "--method", "PUT"), "--method", "https://"),
        (("a/b", "--source", "fake", "--to", "s3://b/k", "--header", "a: b"), "--header", "https://"),
        (("a/b", "--source", "fake", "--to", "s3://b/k", "--timeout", "9"), "--timeout", "HTTP"),
        (("a/b", "--source", "fake", "--to", "http://h/k", "--sse", "AES256"), "--sse", "s3://"),
        (("a/b", "--source", "fake", "--to", "x.tar.gz", "--no-local-copy"), "--no-local-copy", "upload"),
        (("a/b", "--source", "fake", "--limit-rate", "2M"), "--limit-rate", "upload"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_flag_that_means_nothing_is_refused(
    packmule: CommandLine, words: tuple[str, ...], flag: str, told: str
) -> None:
    done = packmule.run("export", *words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert flag in done.stderr
    assert told in done.stderr
    assert "hint: leave it out" in done.stderr
    assert packmule.run("list", "--json").json == []


def test_the_destination_may_come_from_the_environment(packmule: CommandLine) -> None:
    with HttpServer().running() as server:
        packmule.environment["PACKMULE_TO"] = f"{server.url}/a.tar.gz?sig=topsecret"
        done = packmule.run("export", "a/b", "--source", "fake")
        assert (done.exit_code, done.stdout) == (0, f"{server.url}/a.tar.gz?***\n"), done.stderr
        assert [request.path for request in server.requests] == ["/a.tar.gz?sig=topsecret"]
        flag = packmule.run("export", "a/b", "--source", "fake", "--to", str(packmule.root / "mine.tar.gz"))
        assert flag.stdout == f"{packmule.root}/mine.tar.gz\n"
        kept = packmule.run("export", "a/b", "--source", "fake", "--strategy", "notification")
        assert str(packmule.home) in kept.stdout
        assert len(server.requests) == 1
    assert "topsecret" not in done.stderr + packmule.run("show", "1", "--json").stdout


def test_a_server_that_says_nothing_is_waited_for_as_long_as_was_said(packmule: CommandLine) -> None:
    with HttpServer().running() as server:
        server.answers.append(Answer(hang=True))
        to = ("--to", f"{server.url}/a.tar.gz", "--timeout", "0.3", "--connect-timeout", "5")
        began = time.monotonic()
        done = packmule.run("export", "a/b", "--source", "fake", *to)
        assert done.exit_code == 0, done.stderr
        assert time.monotonic() - began < 15
        assert list(server.stored) == ["/a.tar.gz"]


def test_a_kms_key_needs_kms(packmule: CommandLine) -> None:
    done = packmule.run("export", "a/b", "--source", "fake", "--to", "s3://bucket/k", "--sse-kms-key-id", "k")
    assert done.exit_code == 2
    assert "--sse aws:kms" in done.stderr
