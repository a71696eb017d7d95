"""What ``packmule doctor`` looks at besides the database: storages, files, object storage, room."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export_core import git
from export_core.errors import PackmuleError
from export_core.gitlab.layout import REMOTE_STORE
from export_core.source import Check, CheckStatus
from export_core.sources.gitlab_db.catalog import Catalog
from export_core.sources.gitlab_db.object_storage import Objects
from export_core.sources.gitlab_db.planning import DEFAULT_GITLAB_VERSION
from export_core.sources.gitlab_db.projects import project_sizes, readable
from export_core.sources.gitlab_db.settings import GitlabSettings
from export_core.sources.gitlab_db.texts import text

if TYPE_CHECKING:
    import psycopg

_BIGGEST = 3
_SAMPLE = 20
_REMOTE_FILES = (("uploads", "uploads", "store"), ("lfs", "lfs_objects", "file_store"))


def places(settings: GitlabSettings) -> Iterator[Check]:
    """Directories and buckets as configured."""
    storage = settings.storage
    if not storage.repositories:
        yield Check(
            "repositories",
            CheckStatus.WARNING,
            "no storage configured; --skip repository,wiki_repository,design_repository,snippets_repository",
        )
    for name, path in storage.repositories.items():
        yield _repository_storage(f"repository storage {name}", Path(path))
    buckets = settings.object_storage.buckets if settings.object_storage else {}
    directories = {
        "uploads": storage.uploads,
        "lfs": storage.lfs_objects,
        "external_diffs": storage.external_diffs,
    }
    for kind, place in directories.items():
        title = kind.replace("_", " ")
        if place is not None:
            yield _directory(title, Path(place))
        elif kind not in buckets:
            yield Check(title, CheckStatus.WARNING, "neither a directory nor a bucket is configured")
    if settings.object_storage:
        yield from (_bucket(Objects(settings.object_storage), kind) for kind in buckets)
    if settings.gitlab_version is None and not settings.rules.stored:
        yield Check(
            "GitLab version",
            CheckStatus.WARNING,
            f"not configured; archives will say {DEFAULT_GITLAB_VERSION} (set gitlab_version)",
        )


def _repository_storage(title: str, path: Path) -> Check:
    found = _directory(title, path)
    if found.status == CheckStatus.OK and (path / "@cluster").is_dir():
        return Check(
            title,
            CheckStatus.FAILED,
            f"{path} belongs to a Gitaly Cluster, whose paths only its own database knows",
        )
    return found


def _directory(title: str, path: Path) -> Check:
    try:
        if not path.is_dir():
            return Check(title, CheckStatus.FAILED, f"{path} is no directory")
        os.scandir(path).close()
    except OSError as exc:
        return Check(
            title, CheckStatus.FAILED, f"{path} cannot be read: {exc.strerror}; run packmule as the user git"
        )
    return Check(title, CheckStatus.OK, str(path))


def _bucket(objects: Objects, kind: str) -> Check:
    try:
        objects.check(kind)
    except PackmuleError as exc:
        return Check.failure(f"bucket of {kind}", exc)
    return Check(f"bucket of {kind}", CheckStatus.OK, "reachable")


def found_in_database(
    settings: GitlabSettings,
    connection: psycopg.Connection[Any],
    catalog: Catalog,
    work_directory: str | None,
) -> Iterator[Check]:
    """What the database says about files, compared with what is configured and there."""
    if settings.storage.repositories and catalog.has("project_repositories") and catalog.has("shards"):
        yield from _unknown_storages(settings, connection)
        yield from _sample(settings, connection)
    yield from _remote(settings, connection, catalog)
    if work_directory is not None:
        yield from _room(connection, Path(work_directory))


def _unknown_storages(settings: GitlabSettings, connection: psycopg.Connection[Any]) -> Iterator[Check]:
    rows = connection.execute(
        "SELECT s.name, count(*) FROM project_repositories r JOIN shards s ON s.id = r.shard_id"
        " WHERE s.name <> ALL(%s) GROUP BY s.name ORDER BY s.name",
        (list(settings.storage.repositories),),
    )
    for name, count in rows.fetchall():
        message = f"{count} projects lie there, and no path is configured (repositories.{text(name)})"
        yield Check(f"repository storage {text(name)}", CheckStatus.WARNING, message)


def _sample(settings: GitlabSettings, connection: psycopg.Connection[Any]) -> Iterator[Check]:
    """Whether the newest repositories are where the database says: a wrong path must not look like empty."""
    if settings.rules.stored:
        return
    told = readable(connection, "project_statistics")
    committed = (
        "JOIN project_statistics c ON c.project_id = r.project_id AND c.commit_count > 0" if told else ""
    )
    rows = connection.execute(
        "SELECT s.name, r.disk_path FROM project_repositories r JOIN shards s ON s.id = r.shard_id"
        f" {committed} WHERE s.name = ANY(%s) ORDER BY r.id DESC LIMIT {_SAMPLE}",
        (list(settings.storage.repositories),),
    ).fetchall()
    paths = [settings.storage.repository(text(name) or "", text(path) or "") for name, path in rows]
    try:
        there = sum(path is not None and git.exists(path) for path in paths)
    except PackmuleError as exc:
        yield Check("repositories", CheckStatus.FAILED, exc.message)
        return
    if paths:
        # Without statistics nobody knows whether anything was ever committed to those that are not there.
        none = CheckStatus.FAILED if told and not there else CheckStatus.WARNING
        status = CheckStatus.OK if there == len(paths) else none
        yield Check("repositories", status, f"{there} of the newest {len(paths)} are where the database says")


def _remote(
    settings: GitlabSettings, connection: psycopg.Connection[Any], catalog: Catalog
) -> Iterator[Check]:
    buckets = settings.object_storage.buckets if settings.object_storage else {}
    for kind, table, column in _REMOTE_FILES:
        if kind in buckets or not catalog.has(table, column):
            continue
        query = f"SELECT EXISTS (SELECT FROM {table} WHERE {column} = {REMOTE_STORE})"
        if connection.execute(query).fetchall()[0][0]:
            yield Check(
                f"bucket of {kind}",
                CheckStatus.WARNING,
                "files lie in object storage, and no bucket is configured",
            )


def _room(connection: psycopg.Connection[Any], work_directory: Path) -> Iterator[Check]:
    """Segments and the archive made of them are on disk together: twice the size suffices."""
    sizes = project_sizes(connection, _BIGGEST)
    if not sizes:
        yield Check(
            "room",
            CheckStatus.WARNING,
            "project_statistics cannot be read: nobody knows the largest projects",
        )
        return
    place = next(path for path in (work_directory, *work_directory.parents) if path.exists())
    free = shutil.disk_usage(place).free
    listed = ", ".join(f"{path} {size / 1e9:.1f} GB" for path, size in sizes)
    said = f"{free / 1e9:.1f} GB free at {place}; largest projects without their rows: {listed}"
    too_big = 2 * sizes[0][1] > free
    yield Check(
        "room",
        CheckStatus.WARNING if too_big else CheckStatus.OK,
        said + ("; an export needs twice that" if too_big else ""),
    )
