"""Where everything is under ``PACKMULE_HOME``. Paths are made here and nowhere else; all functions are pure.

HOME/packmule.db            job store (0600)
HOME/jobs/<job id>/         work directory of a job (0700)
    segments/<relation>.<part>.<chunk>
    archive.tar.gz.partial  the archive while it is written
HOME/archives/<job id>/<file name>   finished archives that stay in packmule's store
HOME/embedded/              the embedded instance: data, sockets, storage
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Home:
    """The directory that holds all of packmule's own data."""

    root: Path

    @property
    def store(self) -> Path:
        """The job store."""
        return self.root / "packmule.db"

    @property
    def jobs(self) -> Path:
        """Work directories of all jobs."""
        return self.root / "jobs"

    @property
    def archives(self) -> Path:
        """Finished archives kept by packmule."""
        return self.root / "archives"

    @property
    def embedded(self) -> Path:
        """The embedded instance."""
        return self.root / "embedded"

    def job(self, job_id: int) -> Workspace:
        """The work directory of a job."""
        return Workspace(self.jobs / str(job_id))

    def archive(self, job_id: int, file_name: str) -> Path:
        """Where a job's archive lies when it stays in packmule's store."""
        return self.archives / str(job_id) / file_name


@dataclass(frozen=True, slots=True)
class Workspace:
    """The work directory of one job."""

    root: Path

    @property
    def segments(self) -> Path:
        """Finished and unfinished segments."""
        return self.root / "segments"

    @property
    def archive(self) -> Path:
        """The archive while it is being written."""
        return self.root / "archive.tar.gz.partial"

    def segment(self, relation: str, part: int) -> Path:
        """The stem of a part's segment; its chunks are ``<stem>.0``, ``<stem>.1``, ..."""
        return self.segments / f"{relation}.{part}"

    def chunk(self, relation: str, part: int, chunk: int) -> Path:
        """One chunk of a segment."""
        return self.segments / f"{relation}.{part}.{chunk}"
