"""Where things are: on a GitLab server, in its object storage, in a project archive. Pure functions.

Source: GitLab 18.9, app/models/storage/hashed.rb, app/uploaders/ and lib/gitlab/import_export/. Paths are
relative to the storage root named with each; ``export_core/sources/embedded`` and ``gitlab_db`` join them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime

# Repositories, below a storage's root ------------------------------------------------------------------


def hashed(prefix: str, identifier: int) -> str:
    """Disk path of hashed storage: ``@hashed/aa/bb/<sha256 of the decimal id>``."""
    digest = hashlib.sha256(str(identifier).encode()).hexdigest()
    return f"{prefix}/{digest[:2]}/{digest[2:4]}/{digest}"


def project_disk_path(project_id: int) -> str:
    """``project_repositories.disk_path`` of a project in hashed storage."""
    return hashed("@hashed", project_id)


def snippet_disk_path(snippet_id: int) -> str:
    """``snippet_repositories.disk_path``."""
    return hashed("@snippets", snippet_id)


def repository(disk_path: str) -> str:
    """The bare repository of a project or snippet."""
    return f"{disk_path}.git"


def wiki_repository(disk_path: str) -> str:
    """The wiki's bare repository, beside the project's."""
    return f"{disk_path}.wiki.git"


def design_repository(disk_path: str) -> str:
    """The designs' bare repository, beside the project's."""
    return f"{disk_path}.design.git"


# Files, below their local storage root -----------------------------------------------------------------

FILE_UPLOADER = "FileUploader"
AVATAR_UPLOADER = "AvatarUploader"
UPLOAD_SECRET = re.compile(r"[0-9a-f]{10}|[0-9a-f]{32}")
"""The directory of a file attached in Markdown; old ones are shorter."""
REMOTE_STORE = 2
"""``store`` columns of files that lie in object storage; 1 or NULL: on the local disk."""


def project_directory(disk_path: str, full_path: str, storage_version: int | None) -> str:
    """The directory of a project's Markdown attachments below the uploads root."""
    return disk_path if (storage_version or 0) >= 2 else full_path


def leads_out(path: str) -> bool:
    """Whether a path that a database names does not stay below the directory that it is relative to."""
    return bool({"", ".", ".."} & {*path.split("/")})


def upload_path(secret: str, name: str) -> str:
    """``uploads.path`` of a file attached in Markdown, in local storage."""
    return f"{secret}/{name}"


def uploaded_file(path: str, uploader: str, directory: str) -> str:
    """An upload's file below the uploads root (``public/uploads``; Omnibus: ``gitlab-rails/uploads``).

    ``directory`` is the project's (see above): only Markdown attachments lie there. The ``uploads.path`` of
    all others begins with ``uploads/``, the root itself.
    """
    return f"{directory}/{path}" if uploader == FILE_UPLOADER else path.removeprefix("uploads/")


def avatar_path(project_id: int, name: str) -> str:
    """``uploads.path`` of a project's avatar in local storage."""
    return f"uploads/-/system/project/avatar/{project_id}/{name}"


def lfs_object(oid: str) -> str:
    """An LFS object below ``shared/lfs-objects``; also its object-storage key. ``oid`` is its sha256."""
    return f"{oid[:2]}/{oid[2:4]}/{oid[4:]}"


def external_diff(merge_request_id: int, diff_id: int) -> str:
    """A file of diffs below ``shared/external-diffs``; also its key. ``diff_id``: merge_request_diffs.id."""
    return f"merge_request_diffs/mr-{merge_request_id}/diff-{diff_id}"


# Members of the archive, without the leading ``./`` ----------------------------------------------------

VERSION = "VERSION"
GITLAB_VERSION = "GITLAB_VERSION"
GITLAB_REVISION = "GITLAB_REVISION"
FORMAT_VERSION = "0.2.4"
"""Content of ``VERSION``; an importer accepts exactly its own."""
ROOT_OBJECT = "tree/project.json"
RELATIONS = "tree/project"
PROJECT_BUNDLE = "project.bundle"
WIKI_BUNDLE = "project.wiki.bundle"
DESIGN_BUNDLE = "project.design.bundle"
BUNDLES: Mapping[str, str] = {
    "repository": PROJECT_BUNDLE,
    "wiki_repository": WIKI_BUNDLE,
    "design_repository": DESIGN_BUNDLE,
}
"""Relation -> its bundle, for the project's own repositories."""
SNIPPETS = "snippets"
UPLOADS = "uploads"
AVATAR = "avatar"
LFS_MAP = "lfs-objects.json"
LFS_OBJECTS = "lfs-objects"


def relation_member(name: str) -> str:
    """The file of a top-level relation."""
    return f"{RELATIONS}/{name}.ndjson"


def snippet_member(digest: str) -> str:
    """A snippet's bundle; ``digest`` from ``export_core.gitlab.snippets``."""
    return f"{SNIPPETS}/{digest}.bundle"


def upload_member(path: str) -> str:
    """An upload in the archive; importers understand ``<32 hex digits>/<name>`` only."""
    return f"{UPLOADS}/{path}"


def avatar_member(path: str) -> str:
    """The avatar in the archive: the importer takes the first file below ``avatar/``."""
    return f"{AVATAR}/{path}"


def lfs_member(oid: str) -> str:
    """An LFS object in the archive."""
    return f"{LFS_OBJECTS}/{oid}"


def archive_file_name(full_path: str, moment: datetime) -> str:
    """The name that GitLab gives an export: date, hour, minute and milliseconds, then the path.

    All but ``_export.tar.gz`` is cut to 51 characters. The original's lack of seconds is kept: it is the
    name that people know. Source: GitLab 18.9, Gitlab::ImportExport.export_filename.
    """
    stamp = f"{moment:%Y-%m-%d_%H-%M}-{moment.microsecond // 1000:03d}"
    return f"{stamp}_{full_path.replace('/', '_')}"[:51] + "_export.tar.gz"
