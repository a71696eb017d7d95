"""What a delivery needs besides its strategy: an archive, a job, a durable checkpoint. Also runs one in a
process of its own, to be killed: ``python -m tests.strategies.s3_delivery OPTIONS_JSON ARCHIVE CHECKPOINT``.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from export_core.delivery import Delivery, DeliveryContext
from export_core.events import BytesMoved, Event
from export_core.job import ArchiveInfo, Job, JobRequest, JobStatus
from strategies.web_upload_s3 import WebUploadS3


@dataclass
class FileArchive:
    file: Path

    @property
    def size(self) -> int:
        return self.file.stat().st_size

    @property
    def sha256(self) -> str:
        with self.file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    @property
    def file_name(self) -> str:
        return self.file.name

    @property
    def path(self) -> str | None:
        return str(self.file)

    def open(self, offset: int = 0) -> BinaryIO:
        stream = self.file.open("rb")
        stream.seek(offset)
        return stream


@dataclass
class FileCheckpoint:
    file: Path

    def load(self) -> dict[str, Any]:
        return json.loads(self.file.read_text()) if self.file.exists() else {}

    def save(self, value: Mapping[str, Any]) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(dict(value)))
        new.replace(self.file)


def make_job(**fields: Any) -> Job:
    request = JobRequest(project="group/sub/project", source="main")
    return Job(7, request, JobStatus.STARTED, None, "2026-11-21T18:04:05.678Z", **fields)


def go_on() -> None:
    """Never stop."""


@dataclass
class Run:
    """One job's deliveries, with all that they reported."""

    archive: FileArchive
    checkpoint: FileCheckpoint
    check_stop: Callable[[], None] = go_on
    job: Job = field(default_factory=make_job)
    events: list[Event] = field(default_factory=list)

    def deliver(self, strategy: WebUploadS3) -> Delivery:
        context = DeliveryContext(self.job, self.checkpoint, self.events.append, self.check_stop)
        return strategy.deliver(self.archive, context)

    @property
    def last_progress(self) -> BytesMoved:
        return [event for event in self.events if isinstance(event, BytesMoved)][-1]

    def finished(self, delivery: Delivery) -> Job:
        """The job as the store has it after the delivery."""
        info = ArchiveInfo(None, self.archive.size, self.archive.sha256)
        told = {"destination": delivery.destination, "details": dict(delivery.details)}
        return make_job(archive=info, delivery=told)


def random_file(path: Path, size: int, seed: int = 1) -> Path:
    """Bytes that do not repeat, the same for the same seed."""
    with path.open("wb") as stream:
        for number in range(0, size, 1 << 20):
            block = hashlib.shake_128(f"{seed} {number}".encode()).digest(min(1 << 20, size - number))
            stream.write(block)
    return path


if __name__ == "__main__":
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    options, archive_path, checkpoint_path = sys.argv[1:]
    run = Run(FileArchive(Path(archive_path)), FileCheckpoint(Path(checkpoint_path)))
    run.deliver(WebUploadS3(**json.loads(options)))
