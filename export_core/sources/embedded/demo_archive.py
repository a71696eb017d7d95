"""Writes the demonstration project as an archive, as GitLab itself would have exported it."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from export_core.gitlab import layout
from export_core.gitlab.snippets import snippet_digest
from export_core.gitlab.tree import relations
from export_core.sources.embedded import demo_story as story
from export_core.sources.embedded.demo_git import Repository, make_repository
from export_core.sources.embedded.demo_records import Record
from export_core.sources.embedded.demo_tree import DemoTree

GITLAB_VERSION = "18.9.0"
_TIME = 1709625600
"""Time of all members: 2024-03-05 08:00 UTC."""


def write_demo_archive(target: Path) -> None:
    """Write the archive; the same bytes every time with the same git. Raises GitFailed."""
    with tempfile.TemporaryDirectory(prefix="packmule-demo-") as scratch:
        members = list(_members(Path(scratch)))
    with (
        target.open("wb") as file,
        gzip.GzipFile("", "wb", 6, file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, content in members:
            info = tarfile.TarInfo(f"./{name}")
            info.size, info.mtime, info.mode = len(content), _TIME, 0o644
            tar.addfile(info, io.BytesIO(content))


def _members(scratch: Path) -> Iterator[tuple[str, bytes]]:
    project = make_repository(scratch / "project", story.PROJECT_STORY, story.PROJECT_REFS)
    wiki = make_repository(scratch / "wiki", story.WIKI_STORY, {})
    designs = make_repository(scratch / "designs", story.DESIGN_STORY, {})
    tree = DemoTree(project, designs)
    yield layout.VERSION, layout.FORMAT_VERSION.encode()
    yield layout.GITLAB_VERSION, GITLAB_VERSION.encode()
    yield layout.GITLAB_REVISION, b"Unknown"
    yield layout.ROOT_OBJECT, _json(tree.project())
    made = tree.relations()
    for name, records in made.items():
        yield layout.relation_member(name), _relation(name, records)
    yield layout.PROJECT_BUNDLE, _bundle(project, scratch)
    yield layout.WIKI_BUNDLE, _bundle(wiki, scratch)
    yield layout.DESIGN_BUNDLE, _bundle(designs, scratch)
    yield from _snippets(made["snippets"], scratch)
    yield from _files()


def _snippets(records: Iterable[Record], scratch: Path) -> Iterator[tuple[str, bytes]]:
    for record in records:
        repository = make_repository(
            scratch / record["file_name"], story.SNIPPET_STORIES[record["file_name"]], {}
        )
        digest = snippet_digest(
            record["title"], record["description"], record["created_at"], record["updated_at"]
        )
        yield layout.snippet_member(digest), _bundle(repository, scratch)


def _files() -> Iterator[tuple[str, bytes]]:
    name, content = story.AVATAR
    yield layout.avatar_member(layout.avatar_path(1, name)), content
    for path, content in story.UPLOADS.items():
        yield layout.upload_member(path), content
    yield layout.LFS_MAP, _json({story.LFS_OID: [0]})
    yield layout.lfs_member(story.LFS_OID), story.LFS_CONTENT


def _relation(name: str, records: list[Record]) -> bytes:
    """A list as lines, a single object without a line's end, ``null`` where there is none."""
    if relations()[name].many:
        return b"".join(_json(record) + b"\n" for record in records)
    return _json(records[0]) if records else b"null"


def _json(value: object) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # As Rails escapes what HTML and JavaScript would read (ActiveSupport's JSON encoding).
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text.encode()


def _bundle(repository: Repository, scratch: Path) -> bytes:
    target = scratch / "bundle"
    repository.bundle(target)
    return target.read_bytes()
