"""The embedded instance as a whole: server, database with GitLab's tables, storage directories."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export_core.errors import NotFound, SourceUnavailable
from export_core.sources.embedded.server import EmbeddedServer
from export_core.sources.embedded.storage import Storage
from export_core.workspace import Home

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True, slots=True)
class StoredProject:
    """A project of the instance."""

    id: int
    path: str
    """Full path."""
    disk_path: str


@dataclass(frozen=True, slots=True)
class EmbeddedInstance:
    """A GitLab server in miniature below ``PACKMULE_HOME``. All but ``session`` needs an open session."""

    home: Home

    @property
    def server(self) -> EmbeddedServer:
        """Its PostgreSQL."""
        return EmbeddedServer(self.home.embedded)

    @property
    def storage(self) -> Storage:
        """Its storage directories."""
        return Storage(self.home.embedded / "storage")

    @contextmanager
    def session(self) -> Iterator[None]:
        """Keep the server running, with database, tables and directories made. Raises SourceUnavailable."""
        from export_core.sources.embedded.database import prepare

        with self.server.session():
            try:
                prepare(self.server)
                self.storage.make()
                yield
            except Exception as exc:
                trouble = self._trouble(exc)
                if trouble is None:
                    raise
                raise trouble from exc

    def _trouble(self, exc: Exception) -> SourceUnavailable | None:
        """What to say of a full disk or a server that broke off; None for everything else."""
        from psycopg import OperationalError
        from psycopg.errors import DiskFull

        place = self.home.embedded
        no_room = isinstance(exc, OSError) and exc.errno in (ENOSPC, EDQUOT) and exc.filename
        if isinstance(exc, DiskFull) or (no_room and str(no_room).startswith(f"{place}/")):
            return SourceUnavailable(
                f"the disk of the embedded instance in {place} is full",
                hint="make room there (packmule clean), or set PACKMULE_HOME to a larger disk",
            )
        if isinstance(exc, OperationalError):
            return SourceUnavailable(
                f"the embedded instance in {place} broke off: {str(exc).strip().splitlines()[0]}",
                hint=f"{place / 'server.log'} says why; look at the free room there",
            )
        return None

    def connect(self, *, autocommit: bool = False) -> psycopg.Connection[Any]:
        """A new connection to its database."""
        import psycopg

        return psycopg.connect(self.server.dsn(), autocommit=autocommit)

    def projects(self) -> list[StoredProject]:
        """All projects, by path."""
        with self.connect() as connection:
            return list(_projects(connection, None))

    def project(self, path: str) -> StoredProject | None:
        """The project of this full path, if it exists."""
        with self.connect() as connection:
            return next(_projects(connection, path), None)

    def project_exists(self, path: str) -> bool:
        """Whether a project has this full path."""
        return self.project(path) is not None

    def delete_project(self, path: str) -> None:
        """Delete a project: rows, repositories, files. Groups and users stay. Raises NotFound."""
        from export_core.sources.embedded.deletion import delete_rows

        with self.connect() as connection:
            project = next(_projects(connection, path), None)
            if project is None:
                raise NotFound(f"the embedded instance has no project {path}")
            places = self._places(connection, project)
            objects = _lfs_objects(connection, project.id)
            delete_rows(connection, project.id)
            places += self._forget_unlinked(connection, objects)
        # Files go when nothing refers to them any more: a crash in between leaves orphans, not holes.
        for place in places:
            shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)

    def analyze(self) -> None:
        """Vacuum and gather statistics after a load, so that autovacuum has no reason to start later."""
        with self.connect(autocommit=True) as connection:
            connection.execute("VACUUM (ANALYZE)")

    def _places(self, connection: psycopg.Connection[Any], project: StoredProject) -> list[Path]:
        """Files and directories that belong to one project alone."""
        storage = self.storage
        snippets = connection.execute(
            "SELECT r.disk_path FROM snippet_repositories r JOIN snippets s ON s.id = r.snippet_id"
            " WHERE s.project_id = %s",
            (project.id,),
        )
        diffs = connection.execute(
            "SELECT d.merge_request_id, d.id FROM merge_request_diffs d"
            " JOIN merge_requests m ON m.id = d.merge_request_id"
            " WHERE m.target_project_id = %s AND d.stored_externally",
            (project.id,),
        )
        return [
            storage.repository(project.disk_path),
            storage.wiki(project.disk_path),
            storage.designs(project.disk_path),
            storage.uploads / project.disk_path,
            storage.avatar(project.id, "-").parent,
            *(storage.repository(disk_path) for (disk_path,) in snippets.fetchall()),
            *(storage.external_diff(*ids) for ids in diffs.fetchall()),
        ]

    def _forget_unlinked(self, connection: psycopg.Connection[Any], objects: list[int]) -> list[Path]:
        """Delete those LFS objects that no project links to any more; their files."""
        gone = connection.execute(
            "DELETE FROM lfs_objects o WHERE o.id = ANY(%s)"
            " AND NOT EXISTS (SELECT FROM lfs_objects_projects l WHERE l.lfs_object_id = o.id) RETURNING oid",
            (objects,),
        )
        return [self.storage.lfs_object(oid) for (oid,) in gone.fetchall()]


def _projects(connection: psycopg.Connection[Any], path: str | None) -> Iterator[StoredProject]:
    rows = connection.execute(
        "SELECT r.source_id, r.path, p.disk_path FROM routes r"
        " JOIN project_repositories p ON p.project_id = r.source_id"
        " WHERE r.source_type = 'Project' AND (%s::text IS NULL OR r.path = %s) ORDER BY r.path",
        (path, path),
    )
    return (StoredProject(*row) for row in rows.fetchall())


def _lfs_objects(connection: psycopg.Connection[Any], project_id: int) -> list[int]:
    rows = connection.execute(
        "SELECT DISTINCT lfs_object_id FROM lfs_objects_projects WHERE project_id = %s", (project_id,)
    )
    return [row[0] for row in rows.fetchall()]
