"""Uploads, avatar and LFS objects: which files an export holds, and where each lies.

An entry is ``[member, place, size, sha256 or null, mark]``; a place is ``file:<path>`` or ``<bucket
kind>:<key>``, a mark changes when the file's content may have (time of change, or ETag). Entries are small
and plain, so that any worker anywhere can open them. Every file is looked at when the export is planned: what
is gone is told before the work, not after.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from export_core.errors import SourceUnavailable
from export_core.gitlab import layout
from export_core.source import ArchiveFile, Part
from export_core.sources.gitlab_db.object_storage import Objects
from export_core.sources.gitlab_db.settings import GitlabSettings
from export_core.sources.gitlab_db.texts import text

if TYPE_CHECKING:
    from export_core.sources.gitlab_db.planning import Planner

Entry = list[Any]
_FILES_A_PART = 1000
_LOOKING = 16
"""Threads that look for files: object storage and network disks answer slowly, but many at once."""
_OID = re.compile(r"[0-9a-f]{64}")
_Look = tuple[int, str]
"""Size and mark of a file that is there."""

LFS_QUERY = (
    "SELECT o.oid, o.size, o.file_store, array_agg(p.repository_type ORDER BY p.repository_type, p.id)"
    " FROM lfs_objects_projects p JOIN lfs_objects o ON o.id = p.lfs_object_id WHERE p.project_id = %s"
    " GROUP BY o.oid, o.size, o.file_store ORDER BY o.oid"
)


@dataclass(frozen=True, slots=True)
class _Found:
    """A file that the database names, before it was looked for."""

    member: str
    place: str
    sha256: str | None = None


def parts(planner: Planner, chosen: set[str]) -> Iterator[Part]:
    """Deferred parts of avatar and uploads, then of LFS objects."""
    avatar = list(_avatar(planner)) if chosen & {"avatar", "uploads"} else []
    if "avatar" in chosen:
        yield from _parts(planner, "avatar", avatar)
    if "uploads" in chosen:
        yield from _parts(planner, "uploads", list(_uploads(planner, {found.place for found in avatar})))


def lfs_parts(planner: Planner) -> list[Part]:
    """The map ``lfs-objects.json`` as part 0, then the objects. Objects that are gone are in neither."""
    readable = planner.catalog("main").has("lfs_objects_projects")
    rows = lfs_rows(planner.connection("main"), planner.project.id) if readable else []
    wanted = [found for oid, store, _ in rows for found in _lfs(planner, oid, store)]
    files = list(_parts(planner, "lfs_objects", wanted, first=1))
    there = {entry[3] for part in files for entry in part.payload["entries"]}
    left_out = [oid for oid, _, _ in rows if oid not in there]
    payload = {"kind": "lfs_map", "left_out": left_out}
    return [Part("lfs_objects", 0, f"./{layout.LFS_MAP}", payload, 100 * len(rows)), *files]


def lfs_rows(connection: Any, project_id: int) -> list[tuple[str, int | None, list[int | None]]]:
    """(oid, store, repository types) of a project's LFS objects, by oid."""
    rows = connection.execute(LFS_QUERY, (project_id,)).fetchall()
    return [(text(oid) or "", store, list(types)) for oid, _, store, types in rows]


def open_entries(settings: GitlabSettings, part: Part) -> Iterator[ArchiveFile]:
    """The files of a deferred part."""
    opener = Opener(settings)
    for member, place, size, sha256, *_ in part.payload["entries"]:
        yield ArchiveFile(member, size, lambda place=place: opener.open(place), sha256)  # type: ignore[misc]


class Opener:
    """Opens places."""

    def __init__(self, settings: GitlabSettings) -> None:
        self._objects = Objects(settings.object_storage) if settings.object_storage else None

    def open(self, place: str) -> BinaryIO:
        """A stream of the file at a place."""
        kind, _, rest = place.partition(":")
        if kind == "file":
            return Path(rest).open("rb")
        return self._remote(kind).open(kind, rest)

    def look(self, place: str) -> _Look | None:
        """Size and mark of the file at a place; None when there is no such file. Raises SourceUnavailable."""
        kind, _, rest = place.partition(":")
        if kind != "file":
            found = self._remote(kind).find(kind, rest)
            return None if found is None else (found.size, found.etag)
        try:
            status = Path(rest).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as exc:
            raise SourceUnavailable(
                f"the file {rest} cannot be read: {exc.strerror}",
                hint="run packmule as root or as the user git",
            ) from exc
        return (status.st_size, str(status.st_mtime_ns)) if stat.S_ISREG(status.st_mode) else None

    def _remote(self, kind: str) -> Objects:
        if self._objects is None:
            relation = "lfs_objects" if kind == "lfs" else "uploads,avatar"
            raise SourceUnavailable(
                f"GitLab keeps files in object storage ({kind}), and none is configured",
                hint=f"set object_storage of the source in config.toml, or --skip {relation}",
            )
        return self._objects


def _parts(planner: Planner, relation: str, wanted: Sequence[_Found], *, first: int = 0) -> Iterator[Part]:
    entries = list(_look(planner, relation, wanted))
    for number, start in enumerate(range(0, len(entries), _FILES_A_PART), first):
        batch = entries[start : start + _FILES_A_PART]
        weight = sum(entry[2] for entry in batch)
        yield Part(
            relation, number, None, {"kind": "files", "entries": batch}, weight, len(batch), deferred=True
        )


def _look(planner: Planner, relation: str, wanted: Sequence[_Found]) -> Iterator[Entry]:
    """Entries of the files that are there; the others are reported."""
    names: set[str] = set()
    for found, look in _looked(Opener(planner.settings), wanted):
        if look is None:
            planner.report_missing(f"{relation}: the file of {found.member[2:]} is gone ({found.place})")
            continue
        member = found.member
        if member in names:
            planner.warnings.append(f"{relation}: {member[2:]} occurs twice; the second has another name")
            member = _other_name(found)
        names.add(member)
        yield [member, found.place, look[0], found.sha256, look[1]]


def _looked(opener: Opener, wanted: Sequence[_Found]) -> Iterator[tuple[_Found, _Look | None]]:
    """Each file with what is there, looked for by many threads at once."""
    pool = ThreadPoolExecutor(_LOOKING, thread_name_prefix="look")
    try:
        yield from zip(wanted, pool.map(lambda found: opener.look(found.place), wanted), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


def _other_name(found: _Found) -> str:
    """A name of its own below a secret made from the place: what the importer understands."""
    secret = hashlib.sha256(found.place.encode()).hexdigest()[:32]
    return f"./{layout.upload_member(secret)}/{found.member.rsplit('/', 1)[-1]}"


def _local(planner: Planner, root: str | None, relation: str, relative: str) -> str | None:
    """The place of a file below a local root; None, and reported, when it would lie outside.

    Raises SourceUnavailable when the root is not there.
    """
    if root is None:
        raise SourceUnavailable(
            f"{relation} cannot be read: no directory is configured for them",
            hint=f"set it for the source in config.toml, or --skip {relation}",
        )
    base = Path(root).resolve()
    if not base.is_dir():
        raise SourceUnavailable(
            f"{relation} cannot be read: {root} is no directory",
            hint=f"mount it, correct it for the source in config.toml, or --skip {relation}",
        )
    path = (base / relative).resolve()
    if path.is_relative_to(base):
        return f"file:{path}"
    _report_outside(planner, relation, relative)
    return None


def _report_outside(planner: Planner, relation: str, named: str) -> None:
    """What the database names must not be read: it counts as missing."""
    planner.report_missing(f"{relation}: the database names a file outside its directory: {named!r}")


def _lfs(planner: Planner, oid: str, store: int | None) -> Iterator[_Found]:
    if not _OID.fullmatch(oid):
        _report_outside(planner, "lfs_objects", oid)
        return
    key = layout.lfs_object(oid)
    place: str | None = f"lfs:{key}"
    if store != layout.REMOTE_STORE:
        place = _local(planner, planner.settings.storage.lfs_objects, "lfs_objects", key)
    if place is not None:
        yield _Found(f"./{layout.lfs_member(oid)}", place, oid)


def _uploads(planner: Planner, avatar: set[str]) -> Iterator[_Found]:
    """Files attached in Markdown and the like; not the avatar's place, and not other models' uploads."""
    for row in _rows(planner, "TRUE"):
        yield from (found for found in _upload(planner, *row) if found.place not in avatar)


def _upload(
    planner: Planner, path: str, secret: str | None, uploader: str, store: int | None
) -> Iterator[_Found]:
    remote = store == layout.REMOTE_STORE
    name = _remote_name(path, secret, uploader) if remote else path
    if layout.leads_out(name):
        _report_outside(planner, "uploads", name)
        return
    place: str | None = f"uploads:{path}"
    if not remote:
        project = planner.project
        directory = layout.project_directory(project.disk_path, project.full_path, project.storage_version)
        relative = layout.uploaded_file(path, uploader, directory)
        place = _local(planner, planner.settings.storage.uploads, "uploads", relative)
    if place is not None:
        yield _Found(f"./{layout.upload_member(name)}", place)


def _remote_name(path: str, secret: str | None, uploader: str) -> str:
    """``<secret>/<name>``; rows older than the column have the secret in their path alone."""
    *directories, name = path.split("/")
    parent = directories[-1] if directories else ""
    if not secret and uploader == layout.FILE_UPLOADER and layout.UPLOAD_SECRET.fullmatch(parent):
        secret = parent
    return f"{secret}/{name}" if secret else name


def _avatar(planner: Planner) -> Iterator[_Found]:
    """The file of ``projects.avatar``; older avatars are uploads like others."""
    current = _avatar_name(planner)
    if not current:
        return
    rows = _rows(planner, "u.mount_point = 'avatar' OR u.uploader = 'AvatarUploader'")
    found = next(((path, store) for path, _, _, store in rows if path.rsplit("/", 1)[-1] == current), None)
    # An avatar older than the table of uploads has no row there; its place has always been the same.
    path, store = found or (layout.avatar_path(planner.project.id, current), None)
    if layout.leads_out(path):
        _report_outside(planner, "avatar", path)
    elif store == layout.REMOTE_STORE:
        yield _Found(f"./{layout.avatar_member(current)}", f"uploads:{path}")
    else:
        relative = layout.uploaded_file(path, layout.AVATAR_UPLOADER, "")
        place = _local(planner, planner.settings.storage.uploads, "avatar", relative)
        if place is not None:
            yield _Found(f"./{layout.avatar_member(path)}", place)


def _avatar_name(planner: Planner) -> str | None:
    if not planner.catalog("main").has("projects", "avatar"):
        return None
    query = "SELECT avatar FROM projects WHERE id = %s"
    rows = planner.connection("main").execute(query, (planner.project.id,)).fetchall()
    return text(rows[0][0]) if rows else None


def _rows(planner: Planner, condition: str) -> list[tuple[str, str | None, str, int | None]]:
    """(path, secret, uploader, store) of the project's uploads, oldest first but the newest avatar first."""
    if not planner.catalog("main").has("uploads"):
        return []
    order = "u.id" if condition == "TRUE" else "u.id DESC"
    rows = planner.connection("main").execute(
        "SELECT u.path, u.secret, u.uploader, u.store FROM uploads u WHERE u.model_type = 'Project'"
        f" AND u.model_id = %s AND ({condition}) ORDER BY {order}",
        (planner.project.id,),
    )
    return [(text(p) or "", text(secret), text(up) or "", store) for p, secret, up, store in rows.fetchall()]
