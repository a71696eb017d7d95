"""The storage directories of the embedded instance, laid out as on a GitLab server. Pure but for ``make``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from export_core.atomic import private_directory
from export_core.gitlab import layout


@dataclass(frozen=True, slots=True)
class Storage:
    """Directories below one root; ``export_core.gitlab.layout`` says what lies where in them."""

    root: Path

    @property
    def repositories(self) -> Path:
        """Root of the repository storage ``default``."""
        return self.root / "repositories"

    @property
    def uploads(self) -> Path:
        """Attachments and avatars."""
        return self.root / "public" / "uploads"

    @property
    def shared(self) -> Path:
        """GitLab's ``shared`` directory: LFS objects and external diffs."""
        return self.root / "shared"

    @property
    def lfs_objects(self) -> Path:
        """LFS objects."""
        return self.shared / "lfs-objects"

    @property
    def external_diffs(self) -> Path:
        """Diffs of merge requests that are not in the database."""
        return self.shared / "external-diffs"

    def repository(self, disk_path: str) -> Path:
        """A project's or snippet's bare repository."""
        return self.repositories / layout.repository(disk_path)

    def wiki(self, disk_path: str) -> Path:
        """A wiki's bare repository."""
        return self.repositories / layout.wiki_repository(disk_path)

    def designs(self, disk_path: str) -> Path:
        """A project's repository of designs."""
        return self.repositories / layout.design_repository(disk_path)

    def upload(self, disk_path: str, secret: str, name: str) -> Path:
        """A file attached in Markdown, of a project in hashed storage."""
        path = layout.upload_path(secret, name)
        return self.uploads / layout.uploaded_file(path, layout.FILE_UPLOADER, disk_path)

    def avatar(self, project_id: int, name: str) -> Path:
        """A project's avatar."""
        path = layout.avatar_path(project_id, name)
        return self.uploads / layout.uploaded_file(path, layout.AVATAR_UPLOADER, "")

    def lfs_object(self, oid: str) -> Path:
        """An LFS object."""
        return self.lfs_objects / layout.lfs_object(oid)

    def external_diff(self, merge_request_id: int, diff_id: int) -> Path:
        """A file of diffs."""
        return self.external_diffs / layout.external_diff(merge_request_id, diff_id)

    def make(self) -> None:
        """Make the roots."""
        for directory in (self.repositories, self.uploads, self.lfs_objects, self.external_diffs):
            private_directory(directory)
