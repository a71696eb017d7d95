"""Wikis through the real command line and engine: exported, killed, resumed, exported again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import threading

import pytest

from export_core.sources.growi.demo_wiki import Wiki
from tests.export_core.sources.growi.rest_server import TOKEN, WikiServer, serve

PAGES = 560
"""Three parts."""


@pytest.fixture
def wiki() -> Wiki:
    wiki = Wiki()
    wiki.add("users", {"username": "alice"})
    for number in range(PAGES):
        page = wiki.page(f"/Big/Page {number:04d}", f"# {number}\n\n[next](/Big/Page%20{number + 1:04d})\n")
        if number % 100 == 0:
            wiki.attach(page, f"{number}.txt", b"x" * number)
    return wiki


@pytest.fixture
def server(wiki):
    with serve(wiki) as one:
        yield one


@pytest.fixture
def start(tmp_path, server):
    environment = {
        **os.environ,
        "PACKMULE_HOME": str(tmp_path / "home"),
        "PACKMULE_CONFIG": str(tmp_path / "config.toml"),
        "PACKMULE_GROWI_TOKEN": TOKEN,
    }
    (tmp_path / "config.toml").write_text(
        f'[sources.wiki]\nkind = "growi"\nurl = "growi+{server.url}"\nfront_matter = true\n'
    )

    def begin(*words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", "from cli.main import main; main()", *words],
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return begin


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    assert TOKEN not in out + err
    return process.returncode, out, err


def contents(archive) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}


def hold_after(server: WikiServer, calls: int) -> tuple[threading.Event, threading.Event]:
    """Let the server answer so many texts, then none until told; (it holds, go on)."""
    held, go_on, count = threading.Event(), threading.Event(), [0]

    def on_page() -> None:
        count[0] += 1
        if count[0] > calls:
            held.set()
            go_on.wait(30)

    server.on_page = on_page
    return held, go_on


def test_killed_changed_resumed_and_exact(tmp_path, start, server, wiki):
    code, _, err = ended(start("export", "/Big", "--source", "wiki", "--to", str(tmp_path / "whole.tar.gz")))
    assert code == 0, err
    whole = contents(tmp_path / "whole.tar.gz")
    assert len(whole) == PAGES + 6 + 1

    held, go_on = hold_after(server, 300)
    target = tmp_path / "resumed.tar.gz"
    process = start("export", "/Big", "--source", "wiki", "--to", str(target), "--workers", "1", "--no-reuse")
    assert held.wait(60)
    process.kill()
    process.communicate()
    assert not target.exists()

    for page in wiki.collections["pages"][::3]:  # the wiki goes on living
        page["revision"] = wiki.add("revisions", {"pageId": page["_id"], "body": "Changed.\n"})
    wiki.collections["pages"][1]["path"] = "/Big/Renamed"
    wiki.page("/Big/New", "New.\n")

    asked = []
    server.on_page = lambda: asked.append(1)
    go_on.set()
    code, _, err = ended(start("resume"))
    assert code == 0, err
    assert contents(target) == whole
    assert 0 < len(asked) < PAGES, "finished parts are not read again"


def test_an_unchanged_wiki_shares_its_archive(start, server):
    def export(*words: str) -> dict:
        code, out, err = ended(start("export", "/Big", "--source", "wiki", "--json", *words))
        assert code == 0, err
        return json.loads(out)["archive"]

    first = export()
    assert export() == first
    assert export("--skip", "attachments") != first
    server.wiki.collections["pages"][0]["path"] = "/Big/Renamed"  # GROWI's own hash would not see this
    assert export()["path"] != first["path"]


def test_exit_codes(start, server):
    assert ended(start("export", "/Nowhere", "--source", "wiki"))[0] == 4
    server.answers = [(401, {})]
    assert ended(start("export", "/Big", "--source", "wiki"))[0] == 5
    assert ended(start("export", "/Big", "--source", "wiki", "--as-user", "bob"))[0] == 2
    assert ended(start("export", "/Big", "--source", "wiki", "--skip", "issues"))[0] == 2
    server.wiki.contents.popitem()
    assert ended(start("export", "/Big", "--source", "wiki"))[0] == 3
