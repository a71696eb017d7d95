"""The checks of everything in an archive that is not the tree: bundles, LFS objects, uploads, avatar."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from export_core.archive_reader import CHUNK, Member
from export_core.git_bundle import bundle_fault
from export_core.gitlab import layout
from export_core.verify_report import VerifyReport

ATTACHMENT_LIMIT = 100 << 20
"""Bytes: GitLab's default ``max_attachment_size``; larger uploads are dropped without a word."""
_RELATION_OF = {member: relation for relation, member in layout.BUNDLES.items()}
_SNIPPET = re.compile(r"snippets/([0-9a-f]{64})\.bundle")
_OID = re.compile(r"[0-9a-f]{64}")
_VERSIONS = (layout.VERSION, layout.GITLAB_VERSION, layout.GITLAB_REVISION)


@dataclass(slots=True)
class FileCheck:
    """Checks members one by one; ``close`` compares what can only be compared at the end."""

    report: VerifyReport
    scratch: Path
    snippets: set[str] = field(default_factory=set)
    oids: set[str] = field(default_factory=set)
    _listed: dict[str, Any] | None = None
    _versions: dict[str, str] = field(default_factory=dict)

    def member(self, member: Member) -> None:
        """Check one member outside ``tree/``."""
        top, _, below = member.name.partition("/")
        if member.name in _RELATION_OF:
            self._bundle(member, _RELATION_OF[member.name])
        elif member.name in _VERSIONS:
            self._versions[member.name] = member.stream.read(128).decode("utf-8", "replace").strip()
        elif member.name == layout.LFS_MAP:
            self._lfs_list(member.stream)
        else:
            self._below(top, below)(member)

    def _below(self, top: str, below: str) -> Callable[[Member], None]:
        checks: dict[str, Callable[[Member], None]] = {
            layout.SNIPPETS: self._snippet,
            layout.LFS_OBJECTS: self._lfs_object,
            layout.UPLOADS: self._upload,
            layout.AVATAR: self._avatar,
        }
        return checks.get(top, self._stranger) if below else self._stranger

    def _stranger(self, member: Member) -> None:
        if member.name != "project.json":  # the old format, which gets a problem of its own
            self.report.warning(f"{member.name} is no part of a project export; GitLab ignores it")

    def _bundle(self, member: Member, relation: str) -> None:
        count = self.report.relation(relation)
        count.lines += 1
        count.bytes += member.size
        path = self.scratch / "checked.bundle"
        try:
            with path.open("wb") as file:
                while chunk := member.stream.read(CHUNK):
                    file.write(chunk)
            fault = bundle_fault(path, self.scratch)
        finally:
            path.unlink(missing_ok=True)
        if fault:
            self.report.problem(f"{member.name} {fault}")

    def _snippet(self, member: Member) -> None:
        match = _SNIPPET.fullmatch(member.name)
        if match is None:
            self._stranger(member)
            return
        self.snippets.add(match[1])
        self._bundle(member, "snippets_repository")

    def _lfs_list(self, stream: BinaryIO) -> None:
        try:
            listed = json.loads(stream.read())
        except ValueError as exc:
            self.report.problem(f"lfs-objects.json is not valid JSON: {exc}")
            return
        if not isinstance(listed, dict):
            self.report.problem("lfs-objects.json is not a JSON object")
            return
        self._listed = listed
        for oid, types in listed.items():
            valid = isinstance(types, list) and all(kind in (None, 0, 1, 2) for kind in types)
            if not (_OID.fullmatch(oid) and valid):
                self.report.problem(f"lfs-objects.json: the entry of {oid[:80]} is not valid")

    def _lfs_object(self, member: Member) -> None:
        self._count("lfs_objects", member)
        oid = member.name.partition("/")[2]
        digest = hashlib.sha256()
        while chunk := member.stream.read(CHUNK):
            digest.update(chunk)
        self.oids.add(oid)
        if digest.hexdigest() != oid:
            self.report.problem(f"{member.name}: its content has the sha256 {digest.hexdigest()}")

    def _upload(self, member: Member) -> None:
        self._count("uploads", member)
        directories = member.name.split("/")[1:-1]
        if not any(layout.UPLOAD_SECRET.fullmatch(part) for part in directories):
            self.report.warning(
                f"{member.name} lies in no directory named by a secret; links to it will break"
            )
        if member.size > ATTACHMENT_LIMIT:
            self.report.warning(
                f"{member.name} is larger than 100 MiB; GitLab drops it unless its limit is raised"
            )

    def _avatar(self, member: Member) -> None:
        if self._count("avatar", member) == 2:
            self.report.warning("avatar/ holds more than one file; GitLab takes the first that it finds")

    def _count(self, relation: str, member: Member) -> int:
        count = self.report.relation(relation)
        count.lines += 1
        count.bytes += member.size
        return count.lines

    def close(self, digests: set[str]) -> None:
        """Compare bundles with snippets, LFS objects with their list, and judge the versions."""
        self._close_version()
        self._close_lfs()
        for digest in sorted(self.snippets - digests):
            self.report.problem(f"snippets/{digest}.bundle belongs to no snippet of snippets.ndjson")
        lonely = len(digests - self.snippets)
        if lonely:
            self.report.warning(
                f"{lonely} snippet(s) have no repository bundle; GitLab reports them as failed"
            )

    def _close_version(self) -> None:
        self.report.version = self._versions.get(layout.VERSION)
        self.report.gitlab_version = self._versions.get(layout.GITLAB_VERSION)
        if self.report.version is None:
            self.report.problem("VERSION is missing")
            return
        found = re.search(r"\d+\.\d+\.\d+", self.report.version)
        if found is None or found[0] != layout.FORMAT_VERSION:
            only = f"GitLab imports {layout.FORMAT_VERSION} only"
            self.report.problem(f"VERSION is {self.report.version!r}; {only}")

    def _close_lfs(self) -> None:
        if self._listed is None:
            if self.oids:
                self.report.warning(
                    "lfs-objects.json is missing; GitLab takes every object as one of the project"
                )
            return
        for oid in sorted(self.oids - self._listed.keys()):
            self.report.problem(f"lfs-objects/{oid} is not listed in lfs-objects.json")
        for oid in sorted(self._listed.keys() - self.oids):
            self.report.warning(f"LFS object {oid} is listed but not in the archive")
