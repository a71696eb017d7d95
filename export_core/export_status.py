"""The export status of a project in GitLab's words (its API's ``export_status``). Pure.

Two answers differ from GitLab's on purpose: a failure is told as ``failed`` (GitLab says ``none``), and an
archive that was handed on, to a file or a bucket of the user's, counts as there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from export_core.job import Job, JobStatus


class ExportStatus(StrEnum):
    """Where the export of a project stands."""

    NONE = "none"
    """Never exported, or nothing of it is left."""
    QUEUED = "queued"
    STARTED = "started"
    FINISHED = "finished"
    """The newest export ended well and its archive is there."""
    REGENERATION_IN_PROGRESS = "regeneration_in_progress"
    """A new export is queued or started while the archive of an earlier one is still there."""
    FAILED = "failed"
    """The newest export failed."""


@dataclass(frozen=True, slots=True)
class ProjectExport:
    """A project's status, the job that it speaks of, and the newest job whose archive is there."""

    status: ExportStatus
    job: Job | None = None
    available: Job | None = None


UNDER_WAY = (JobStatus.STARTED, JobStatus.INTERRUPTED, JobStatus.QUEUED)
"""States of a job that is still to end, the most telling first."""


def project_export(jobs: Sequence[Job]) -> ProjectExport:
    """The status of the one project whose jobs these are, in any order. Cancelled ones do not count."""
    newest_first = sorted(jobs, key=lambda job: job.id, reverse=True)
    made = [job for job in newest_first if job.status is not JobStatus.CANCELLED]
    available = next((job for job in made if has_archive(job)), None)
    under_way = sorted(
        (job for job in made if job.status in UNDER_WAY), key=lambda job: UNDER_WAY.index(job.status)
    )
    if under_way:
        return ProjectExport(_word(under_way[0], available), under_way[0], available)
    if made and made[0].status is JobStatus.FAILED:
        return ProjectExport(ExportStatus.FAILED, made[0], available)
    if available is not None:
        return ProjectExport(ExportStatus.FINISHED, available, available)
    return ProjectExport(ExportStatus.NONE)


def has_archive(job: Job) -> bool:
    """Whether what a job exported is still there, as far as the store knows."""
    return job.status is JobStatus.FINISHED and job.archive_removed_at is None


def _word(job: Job, available: Job | None) -> ExportStatus:
    if available is not None:
        return ExportStatus.REGENERATION_IN_PROGRESS
    return ExportStatus.QUEUED if job.status is JobStatus.QUEUED else ExportStatus.STARTED
