from __future__ import annotations

import pytest

from export_core.export_status import project_export
from export_core.job import ArchiveInfo, ErrorInfo, Job, JobRequest, JobStatus


def job(number: int, status: str, *, removed: bool = False) -> Job:
    """A job written as ``finished``, ``finished-removed``, ``failed``, ..."""
    return Job(
        id=number,
        request=JobRequest("group/project", "embedded"),
        status=JobStatus(status),
        phase=None,
        created_at=f"2026-01-01T00:00:{number:02}.000Z",
        archive=ArchiveInfo(None, 1, "ab") if status == "finished" and not removed else None,
        error=ErrorInfo("X", "y") if status == "failed" else None,
        archive_removed_at="2026-01-02T00:00:00.000Z" if removed else None,
    )


def answer(*written: str) -> tuple[str, int | None, int | None]:
    """Status, its job and the job whose archive is there, for jobs 1, 2, ..."""
    jobs = [
        job(number, words.partition("-")[0], removed=words.endswith("-removed"))
        for number, words in enumerate(written, 1)
    ]
    found = project_export(jobs)
    assert found == project_export(jobs[::-1])
    return (
        found.status.value,
        found.job.id if found.job else None,
        found.available.id if found.available else None,
    )


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        ((), ("none", None, None)),
        (("queued",), ("queued", 1, None)),
        (("started",), ("started", 1, None)),
        (("interrupted",), ("started", 1, None)),
        (("finished",), ("finished", 1, 1)),
        (("failed",), ("failed", 1, None)),
        (("cancelled",), ("none", None, None)),
        # a new export while the archive of an earlier one is there
        (("finished", "queued"), ("regeneration_in_progress", 2, 1)),
        (("finished", "started"), ("regeneration_in_progress", 2, 1)),
        (("finished", "interrupted"), ("regeneration_in_progress", 2, 1)),
        # ... and when it is not there any more
        (("finished-removed", "started"), ("started", 2, None)),
        (("finished-removed",), ("none", None, None)),
        (("finished", "finished-removed"), ("finished", 1, 1)),
        # a failure is told, and the earlier archive still named
        (("finished", "failed"), ("failed", 2, 1)),
        (("failed", "finished"), ("finished", 2, 2)),
        # cancelled jobs count as never made
        (("finished", "cancelled"), ("finished", 1, 1)),
        (("failed", "cancelled"), ("failed", 1, None)),
        # two exports of one project may run at once; what runs is told first
        (("started", "failed"), ("started", 1, None)),
        (("started", "queued"), ("started", 1, None)),
        (("interrupted", "queued"), ("started", 1, None)),
        (("started", "finished"), ("regeneration_in_progress", 1, 2)),
    ],
)
def test_status(jobs: tuple[str, ...], expected: tuple[str, int | None, int | None]) -> None:
    assert answer(*jobs) == expected
