"""Where a GitLab keeps its things, and how it renders them. Small frozen values; picklable."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from export_core.gitlab import layout
from export_core.sources.gitlab_db.renderings import Rules


@dataclass(frozen=True, slots=True)
class Databases:
    """libpq connection strings or URLs. ``ci`` and ``sec`` are None where they are the main database.

    They may hold passwords, and so are not shown.
    """

    main: str = field(repr=False)
    ci: str | None = field(default=None, repr=False)
    sec: str | None = field(default=None, repr=False)

    def dsn(self, name: str) -> str:
        """The connection string of a database."""
        return {"ci": self.ci, "sec": self.sec}.get(name) or self.main

    def separate(self) -> tuple[str, ...]:
        """The databases that need a connection of their own."""
        return ("main", *(name for name in ("ci", "sec") if {"ci": self.ci, "sec": self.sec}[name]))

    def beside(self, name: str) -> frozenset[str]:
        """The databases that a connection to ``name`` sees."""
        dsn = self.dsn(name)
        return frozenset(other for other in ("main", "ci", "sec") if self.dsn(other) == dsn)


@dataclass(frozen=True, slots=True)
class Storage:
    """Directories of a GitLab server; None: not configured."""

    repositories: Mapping[str, str] = field(default_factory=dict)
    """Storage name to path."""
    uploads: str | None = None
    """The directory of uploads: GitLab's ``public/uploads``, ``gitlab-rails/uploads`` on Omnibus."""
    lfs_objects: str | None = None
    external_diffs: str | None = None

    def repository(self, storage: str, disk_path: str) -> Path | None:
        """The bare repository at a disk path (without ``.git``).

        None for an unknown storage, and for a path that leads out of its storage.
        """
        root = self.repositories.get(storage)
        return (
            None if root is None or layout.leads_out(disk_path) else Path(root) / layout.repository(disk_path)
        )


@dataclass(frozen=True, slots=True)
class ObjectStorage:
    """An S3-like store with a bucket (or ``bucket/prefix``) per kind: uploads, lfs, external_diffs."""

    buckets: Mapping[str, str] = field(default_factory=dict)
    endpoint: str | None = None
    region: str | None = None
    profile: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    provider: str | None = None
    """Whose storage it is, in GitLab's words; None or ``AWS`` for all that speak S3. No other can be read."""


@dataclass(frozen=True, slots=True)
class GitlabSettings:
    """All that a reader needs to know of a GitLab."""

    databases: Databases
    storage: Storage = field(default_factory=Storage)
    object_storage: ObjectStorage | None = None
    rules: Rules = field(default_factory=Rules)
    gitlab_version: str | None = None
    gitlab_revision: str | None = None
    pause: float = 0.0
    max_db_load: float | None = None
    """How politely to read, unless the export says otherwise; see ``Token``."""


@dataclass(frozen=True, slots=True)
class ProjectRef:
    """The exported project, as the snapshot found it."""

    id: int
    full_path: str
    namespace_id: int | None
    project_namespace_id: int | None
    storage: str
    """Name of the repository storage."""
    disk_path: str
    """Of the repository, without ``.git``."""
    storage_version: int | None
    sha256: bool = False
    """Whether the repository's object ids are SHA-256."""


@dataclass(frozen=True, slots=True)
class Token:
    """What joins a snapshot: PostgreSQL's snapshot ids by database, and the project."""

    snapshots: Mapping[str, str]
    project: ProjectRef
    allow_missing: bool = False
    pause: float = 0.0
    """Seconds to wait between two batches of a worker, to go easy on a live primary."""
    max_db_load: float | None = None
    """Share of the time (0 to 1) in which a worker may keep its connection busy."""
    description: str | None = None
    """Of the project, in place of its own."""
    name: str = ""
    """Unlike that of any other snapshot; see ``knowledge``."""

    def encode(self) -> str:
        """As text."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def decode(cls, text: str) -> Token:
        """From ``encode``'s text."""
        value: dict[str, Any] = json.loads(text)
        return cls(**{**value, "project": ProjectRef(**value["project"])})
