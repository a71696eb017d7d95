"""The demo wiki as a folder: packed by Python's tarfile, unpacked by GNU tar, read from disk."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tarfile
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

from export_core.source import Selection
from export_core.sources.growi import GrowiSource
from export_core.sources.growi.demo_wiki import HURTING_NAMES, demo_wiki
from tests.export_core.sources.contract import content_of


def unpacked(
    folder: Path, source: GrowiSource, project: str = "/", *, skip: tuple[str, ...] = (), **options
) -> Path:
    snapshot = source.open(project, options)
    members: dict[str, bytes] = {}
    with closing(source.reader(snapshot.token)) as reader:
        for part in snapshot.plan(Selection(skip=skip)).parts:
            content = content_of(reader, part)
            if part.member:
                members[part.member] = members.get(part.member, b"") + content.written
            members |= dict(content.files)
    with tarfile.open(folder / "wiki.tar", "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    root = folder / "wiki"
    root.mkdir()
    subprocess.run(["tar", "-xf", folder / "wiki.tar", "-C", root], check=True)
    assert {path.name for path in folder.iterdir()} == {"wiki", "wiki.tar"}
    files = [path for path in root.rglob("*") if path.is_file()]
    assert len(files) == len(members)
    return root


@pytest.fixture
def source() -> GrowiSource:
    return GrowiSource("demo", {"url": "growi+demo://"})


def test_every_page_is_there_with_its_text(tmp_path, source):
    root = unpacked(tmp_path, source)
    index = json.loads((root / "pages.json").read_text())
    wiki = demo_wiki().collections
    expected = {
        page["path"]
        for page in wiki["pages"]
        if not page.get("isEmpty") and not page.get("wip") and page.get("status") != "deleted"
    }
    assert {page["path"] for page in index["pages"]} == expected
    assert set(HURTING_NAMES) <= expected
    for page in index["pages"]:
        text = (root / page["file"]).read_text()
        if page["path"] in HURTING_NAMES:
            assert text == f"The page {page['path']!r}.\n"


def test_old_revisions_by_path_and_line_ends(tmp_path, source):
    root = unpacked(tmp_path, source, "/Old")
    assert (root / "Old.md").read_bytes() == b"# Old\n\nSecond.\nThird.\n"


def test_links_lead_to_files(tmp_path, source):
    root = unpacked(tmp_path, source)
    found = set()
    for file in root.rglob("*.md"):
        text = re.sub(r"```.*?```|`[^`]*`", "", file.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)|src='([^']+)'|^\[ref\]: (\S+)", text, re.MULTILINE):
            address = "".join(target).partition("#")[0]
            if not address.startswith(("http", "/Nowhere")):
                assert (file.parent / unquote(address)).is_file(), f"{file}: {address}"
                found.add((file.name, address))
    assert len(found) == 11
    assert "`[this](/Sandbox/Math)`" in (root / "Sandbox.md").read_text()
    assert (root / "_attachments").is_dir()


def test_without_attachments_and_index(tmp_path, source):
    root = unpacked(tmp_path, source, "/Sandbox", skip=("attachments", "index"))
    assert sorted(path.name for path in root.rglob("*")) == [
        "Diagrams.md",
        "Math.md",
        "Sandbox",
        "Sandbox.md",
    ]
    assert "(/attachment/" in (root / "Sandbox.md").read_text()  # and links are left as they are
    assert "(./Sandbox/Math#integrals)" in (root / "Sandbox.md").read_text()


def test_links_are_rewritten_without_attachments_when_asked_for(tmp_path, source):
    root = unpacked(tmp_path, source, "/Sandbox", skip=("attachments",), rewrite_links=True)
    assert "(/attachment/" in (root / "Sandbox.md").read_text()
    assert "(Sandbox/Math.md#integrals)" in (root / "Sandbox.md").read_text()


def test_links_are_left_alone_when_asked_for(tmp_path, source):
    root = unpacked(tmp_path, source, "/Sandbox", rewrite_links=False)
    (sandbox,) = [r for r in demo_wiki().collections["revisions"] if r["body"].startswith("# Sandbox")]
    assert (root / "Sandbox.md").read_text() == sandbox["body"]


def test_front_matter_is_yaml(tmp_path, source):
    root = unpacked(tmp_path, source, front_matter=True)
    index = json.loads((root / "pages.json").read_text())
    for page in index["pages"]:
        head = (root / page["file"]).read_text().split("---\n")[1]
        expected = {"path": page["path"], "revision": page["revision"], "title": page["title"]}
        expected |= {key: page[key] for key in ("author", "created", "updated") if page[key]}
        assert yaml.safe_load(head) == expected


def test_the_index_maps_names_and_attachments(tmp_path, source):
    root = unpacked(tmp_path, source, "/Sandbox")
    index = json.loads((root / "pages.json").read_text())
    assert (index["format"], index["root"]) == (1, "/Sandbox")
    assert [page["file"] for page in index["pages"]] == [
        "Sandbox.md",
        "Sandbox/Diagrams.md",
        "Sandbox/Math.md",
    ]
    files = {one["name"]: root / one["file"] for one in index["pages"][0]["attachments"]}
    assert files["メモ.txt"].read_text() == "こんにちは\n"
    assert files["pixel 1.png"].read_bytes().startswith(b"\x89PNG")
