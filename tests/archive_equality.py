"""Compares two project archives record by record, strictly: what carrying a project out and in must keep.

Integer ``id`` and ``*_id`` values may be renumbered, one to one and the same everywhere. Keys that GitLab
18.9 does not know are not compared; keys that it added since the original's version may be new.
"""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from export_core.gitlab.tree import ROOT, Node, relations

NEW_OBJECTS = {"commit_author", "committer"}
"""Single objects that a newer version writes instead of plain keys (``author_name`` ...)."""
JOBS = {"builds", "bridges", "generic_commit_statuses"}


@dataclass
class Differences:
    """Collects what differs, with its place."""

    found: list[str] = field(default_factory=list)
    there: dict[int, int] = field(default_factory=dict)
    back: dict[int, int] = field(default_factory=dict)

    def add(self, place: str, message: str) -> None:
        self.found.append(f"{place}: {message}")

    def record(self, place: str, node: Node, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        children = {child.name: child for child in node.children}
        for key in node.attributes:
            if key in old:
                self.value(f"{place}.{key}", key, old[key], new.get(key, "(missing)"))
        for name, child in children.items():
            self.child(f"{place}.{name}", child, old, new)
        for key in new.keys() - old.keys():
            if key not in node.attributes and key not in children:
                self.add(place, f"unknown new key {key}")

    def child(self, place: str, child: Node, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        name = child.name
        if name not in old or old[name] is None:
            legacy = name in JOBS and "statuses" in old
            if new.get(name) and name not in NEW_OBJECTS and not legacy:
                self.add(place, f"there is {str(new[name])[:80]} where there was nothing")
        elif child.many:
            self.records(place, child, old[name], new.get(name, []))
        elif name not in new:
            self.add(place, "is missing")
        else:
            self.record(place, child, old[name], new[name])

    def records(self, place: str, node: Node, old: list[Any], new: list[Any]) -> None:
        if len(old) != len(new):
            self.add(place, f"{len(old)} records became {len(new)}")
            return
        for number, (before, after) in enumerate(zip(old, new, strict=True)):
            self.record(f"{place}[{number}]", node, before, after)

    def value(self, place: str, key: str, old: Any, new: Any) -> None:
        is_id = key == "id" or key.endswith("_id")
        if is_id and type(old) is int and type(new) is int:
            if self.there.setdefault(old, new) != new or self.back.setdefault(new, old) != old:
                self.add(place, f"id {old} became {new}, elsewhere {self.there[old]}")
        elif type(old) is not type(new) or old != new:
            self.add(place, f"{str(old)[:100]!r} became {str(new)[:100]!r}")


def files_of(archive: Path) -> dict[str, bytes]:
    """All files of an archive by name, without ``./`` and what macOS left."""
    with tarfile.open(archive) as tar:
        members = {member.name.removeprefix("./"): member for member in tar if member.isfile()}
        return {
            name: tar.extractfile(member).read()  # type: ignore[union-attr]
            for name, member in members.items()
            if not any(part.startswith("._") for part in name.split("/"))
        }


def lines_of(files: Mapping[str, bytes], relation: str) -> list[Any]:
    """The records of a relation; none for a missing or empty file and for ``null``."""
    data = files.get(f"tree/project/{relation}.ndjson", b"")
    values = [json.loads(line) for line in data.splitlines()]
    return [value for value in values if value is not None]


def differences(original: Path, exported: Path, scratch: Path) -> list[str]:
    """Everything in which the second archive is not what the first one was."""
    old, new = files_of(original), files_of(exported)
    found = Differences()
    root = [json.loads(files["tree/project.json"]) for files in (old, new)]
    found.record("project", ROOT, *root)
    for name, node in relations().items():
        found.records(name, node, lines_of(old, name), lines_of(new, name))
    for name in ("project.bundle", "project.wiki.bundle", "project.design.bundle"):
        if refs(old.get(name), scratch) != refs(new.get(name), scratch):
            found.add(name, "other refs")
    _compare_files(found, old, new, scratch)
    return found.found


def _compare_files(
    found: Differences, old: Mapping[str, bytes], new: Mapping[str, bytes], scratch: Path
) -> None:
    for directory in ("uploads/", "lfs-objects/", "lfs-objects.json", "VERSION"):
        before, after = ({n: d for n, d in files.items() if n.startswith(directory)} for files in (old, new))
        if directory.endswith(".json"):
            before, after = ({n: json.loads(d) for n, d in files.items()} for files in (before, after))  # type: ignore[misc]
        if before != after:
            found.add(directory, f"{sorted(before)} became {sorted(after)}")
    avatars = [
        sorted((n.rpartition("/")[2], d) for n, d in f.items() if n.startswith("avatar/")) for f in (old, new)
    ]
    if avatars[0] != avatars[1]:
        found.add("avatar", "differs")
    snippets = [{n: refs(d, scratch) for n, d in f.items() if n.startswith("snippets/")} for f in (old, new)]
    if snippets[0] != snippets[1]:
        found.add("snippets", f"{sorted(snippets[0])} became {sorted(snippets[1])}")


def refs(bundle: bytes | None, scratch: Path) -> set[str]:
    """Every ref of a bundle with its commit, as git reads them after cloning it."""
    if bundle is None:
        return set()
    path, clone = scratch / "a.bundle", scratch / "a.git"
    path.write_bytes(bundle)
    subprocess.run(["rm", "-rf", clone], check=True)
    subprocess.run(["git", "clone", "-q", "--mirror", path, clone], check=True, capture_output=True)
    shown = subprocess.run(["git", "-C", clone, "show-ref"], capture_output=True, text=True, check=False)
    return set(shown.stdout.splitlines())
