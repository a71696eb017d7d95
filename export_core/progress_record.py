"""Small facts that a job keeps between its runs: checkpoints, the members' time, the content's digest."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from export_core.assembly import ArchiveRequest, Segments
from export_core.errors import UsageError
from export_core.job import Job
from export_core.segment import Segment
from export_core.source import Plan
from export_core.store import JobStore
from export_core.workspace import Workspace


@dataclass(frozen=True, slots=True)
class JobCheckpoint:
    """A named checkpoint of a job."""

    store: JobStore
    job_id: int
    name: str

    def load(self) -> dict[str, Any]:
        """The last saved value; empty before the first."""
        return self.store.load_checkpoint(self.job_id, self.name)

    def save(self, value: Mapping[str, Any]) -> None:
        """Replace it, durably."""
        self.store.save_checkpoint(self.job_id, self.name, value)


def archive_request(store: JobStore, job: Job, plan: Plan, workspace: Workspace) -> ArchiveRequest:
    """What the job's archive is made of."""
    level = job.request.compression_level
    return ArchiveRequest(job.id, plan, workspace, member_time(store, job), level)


def member_time(store: JobStore, job: Job) -> int:
    """The time of all members, in seconds since 1970: SOURCE_DATE_EPOCH, else the job's first start.

    It is kept with the job, so that a resumed job goes on with the same. Raises UsageError. Source:
    reproducible-builds.org, specification of SOURCE_DATE_EPOCH.
    """
    kept = store.load_checkpoint(job.id, "members")
    if not kept:
        kept = {"mtime": _given_time() or int(_started(job).timestamp())}
        store.save_checkpoint(job.id, "members", kept)
    return int(kept["mtime"])


def _given_time() -> int | None:
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if not text.isdigit():
        raise UsageError(f"SOURCE_DATE_EPOCH is {text!r}", hint="it takes seconds since 1970, or nothing")
    return int(text)


def _started(job: Job) -> datetime:
    return datetime.fromisoformat(job.started_at or job.created_at)


def fingerprint_of(plan: Plan, segments: Segments) -> str:
    """A digest of everything that an archive will hold, without the times of its members.

    Deferred files count by what the plan says of them: place, size and mark. Raises KeyError when another
    part has no segment.
    """
    digest = hashlib.sha256()
    for part in plan.parts:
        content = part.payload if part.deferred else _content(segments[part.key])
        identity = [part.relation, part.number, part.member, content]
        digest.update(json.dumps(identity, sort_keys=True).encode())
    return digest.hexdigest()


def _content(segment: Segment) -> dict[str, Any]:
    return {"content": segment.content or segment.sha256, "size": segment.raw_size}
