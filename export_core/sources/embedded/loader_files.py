"""Repositories, uploads, LFS objects and the avatar of an archive go to their places in the storage."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export_core.archive_reader import Extracted
from export_core.atomic import private_directory
from export_core.errors import ArchiveInvalid
from export_core.git_bundle import is_sha256, restore_bundle
from export_core.gitlab import layout
from export_core.sources.embedded.database import ORGANIZATION_ID, SHARD_ID
from export_core.sources.embedded.loader_report import SEE_VERIFY, LoadReport
from export_core.sources.embedded.loader_work import WorkDirectory, remove
from export_core.sources.embedded.namespaces import ProjectShell
from export_core.sources.embedded.storage import Storage

if TYPE_CHECKING:
    import psycopg

_SNIPPET = re.compile(r"[0-9a-f]{64}")
_UPLOAD = (
    "INSERT INTO uploads (size, path, checksum, model_id, model_type, uploader, created_at, store,"
    " mount_point, secret, version, organization_id, project_id)"
    " VALUES (%s, %s, %s, %s, 'Project', %s, now(), 1, %s, %s, 2, %s, %s)"
)


@dataclass(slots=True)
class FileLoader:
    """Moves the files of an unpacked archive. Whatever it makes is announced to ``work`` before."""

    archive: Extracted
    storage: Storage
    connection: psycopg.Connection[Any]
    shell: ProjectShell
    report: LoadReport
    work: WorkDirectory

    def load(self, snippets: Mapping[str, list[int]], default_branch: str | None) -> None:
        """Load everything. ``snippets``: digest -> ids of the snippets with that bundle."""
        self._repositories(default_branch)
        self._snippets(snippets)
        self._uploads()
        self._lfs_objects()
        self._avatar()

    def _repositories(self, default_branch: str | None) -> None:
        disk_path = self.shell.disk_path
        for relation, target in (
            ("repository", self.storage.repository(disk_path)),
            ("wiki_repository", self.storage.wiki(disk_path)),
            ("design_repository", self.storage.designs(disk_path)),
        ):
            bundle = self.archive.file(layout.BUNDLES[relation])
            if bundle is None:
                continue
            branch = default_branch if relation == "repository" else None
            self._restore(bundle, target, branch)
            self.report.relations[relation] = 1
            self._record_repository(relation, bundle)

    def _restore(self, bundle: Path, target: Path, branch: str | None = None) -> None:
        self._will_make(target)
        restore_bundle(bundle, target, default_branch=branch)

    def _record_repository(self, relation: str, bundle: Path) -> None:
        project = self.shell.project_id
        if relation == "repository" and is_sha256(bundle):
            self.connection.execute(
                "UPDATE project_repositories SET object_format = 1 WHERE project_id = %s", (project,)
            )
        tables = {
            "wiki_repository": "project_wiki_repositories",
            "design_repository": "design_management_repositories",
        }
        if relation in tables:
            self.connection.execute(
                f"INSERT INTO {tables[relation]} (project_id, created_at, updated_at)"
                " VALUES (%s, now(), now())",
                (project,),
            )

    def _snippets(self, snippets: Mapping[str, list[int]]) -> None:
        for bundle in self.archive.files(layout.SNIPPETS):
            digest = bundle.name.removesuffix(".bundle")
            owners = snippets.get(digest, [])
            if not owners or not _SNIPPET.fullmatch(digest):
                self.report.warn(f"snippets/{bundle.name} belongs to no snippet; left out")
            for snippet_id in owners:
                disk_path = layout.snippet_disk_path(snippet_id)
                self._restore(bundle, self.storage.repository(disk_path))
                self._count("snippets_repository")
                self.connection.execute(
                    "INSERT INTO snippet_repositories (snippet_id, shard_id, disk_path, snippet_project_id)"
                    " VALUES (%s, %s, %s, %s)",
                    (snippet_id, SHARD_ID, disk_path, self.shell.project_id),
                )

    def _uploads(self) -> None:
        directory = self.storage.uploads / self.shell.disk_path
        self._will_make(directory)
        root = self.archive.root / layout.UPLOADS
        for file in self.archive.files(layout.UPLOADS):
            secret, name = _upload_name(file.relative_to(root).parts)
            path = layout.upload_path(secret, name) if secret else name
            if not secret:
                self.report.warn(f"uploads/{name} has no secret in its path")
            self._upload(file, directory / path, path, (layout.FILE_UPLOADER, None, secret))
            self._count("uploads")

    def _upload(self, file: Path, target: Path, path: str, kind: tuple[str, str | None, str | None]) -> None:
        uploader, mount_point, secret = kind
        if target.exists():
            self.report.warn(f"{path} is there more than once; the first one is kept")
            return
        size, digest = _measured(file)
        project = self.shell.project_id
        values = (size, path, digest, project, uploader, mount_point, secret, ORGANIZATION_ID, project)
        self.connection.execute(_UPLOAD, values)
        _move(file, target)

    def _avatar(self) -> None:
        files = self.archive.files(layout.AVATAR)
        if not files:
            return
        name = files[0].name
        target = self.storage.avatar(self.shell.project_id, name)
        self._will_make(target.parent)
        path = layout.avatar_path(self.shell.project_id, name)
        self._upload(files[0], target, path, (layout.AVATAR_UPLOADER, "avatar", None))
        self.connection.execute(
            "UPDATE projects SET avatar = %s WHERE id = %s", (name, self.shell.project_id)
        )
        self._count("avatar")

    def _lfs_objects(self) -> None:
        types = self._lfs_types()
        there = {file.name: file for file in self.archive.files(layout.LFS_OBJECTS)}
        for oid in sorted({*types, *there}):
            if oid not in there:
                self.report.warn(f"LFS object {oid} is listed but not in the archive; left out")
                continue
            self._lfs_object(oid, there[oid], types.get(oid) or [None])
            self._count("lfs_objects")

    def _lfs_types(self) -> dict[str, list[int | None]]:
        path = self.archive.file(layout.LFS_MAP)
        try:
            types = json.loads(path.read_bytes()) if path else {}
        except ValueError as exc:
            raise ArchiveInvalid(f"{layout.LFS_MAP} is not valid JSON: {exc}", hint=SEE_VERIFY) from exc
        if not isinstance(types, dict) or not all(isinstance(value, list) for value in types.values()):
            raise ArchiveInvalid(f"{layout.LFS_MAP} is not an object of lists", hint=SEE_VERIFY)
        return types

    def _lfs_object(self, oid: str, file: Path, types: list[int | None]) -> None:
        size, digest = _measured(file)
        if digest != oid:
            raise ArchiveInvalid(
                f"LFS object {oid} is damaged: its content has the sha256 {digest}",
                hint="make the archive again, or copy it again from where it came",
            )
        target = self.storage.lfs_object(oid)
        if not target.exists():
            self._will_make(target)
            _move(file, target)
        row = self.connection.execute(
            "INSERT INTO lfs_objects (oid, size, file, file_store, created_at, updated_at)"
            " VALUES (%s, %s, %s, 1, now(), now())"
            " ON CONFLICT (oid) DO UPDATE SET size = excluded.size RETURNING id",
            (oid, size, oid[4:]),
        ).fetchone()
        for kind in types:
            self.connection.execute(
                "INSERT INTO lfs_objects_projects"
                " (lfs_object_id, project_id, created_at, updated_at, repository_type, oid)"
                " VALUES (%s, %s, now(), now(), %s, %s)",
                (row[0] if row else None, self.shell.project_id, kind, oid),
            )

    def _will_make(self, place: Path) -> None:
        """Announce a place. What is there already can only be somebody's leftover: the project is new."""
        self.work.will_make(self.shell.project_id, place)
        remove(place)

    def _count(self, relation: str) -> None:
        self.report.relations[relation] = self.report.relations.get(relation, 0) + 1


def _upload_name(parts: tuple[str, ...]) -> tuple[str | None, str]:
    """Secret and name of an upload, as the importer takes them: the last directory that looks like one."""
    for place in range(len(parts) - 2, -1, -1):
        if layout.UPLOAD_SECRET.fullmatch(parts[place]):
            return parts[place], "/".join(parts[place + 1 :])
    return None, "/".join(parts)


def _measured(file: Path) -> tuple[int, str]:
    """Size in bytes and sha256 in hex."""
    with file.open("rb") as stream:
        return file.stat().st_size, hashlib.file_digest(stream, "sha256").hexdigest()


def _move(file: Path, target: Path) -> None:
    private_directory(target.parent)
    file.rename(target)
