"""``web-upload`` to S3 and to everything that speaks it: decides what is sent; ``s3_*.py`` send it.

An upload is remembered in the job's checkpoint before its first byte leaves. A killed delivery asks the
server which parts it has and sends the others; nothing counts as sent that the server's own digests do
not confirm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from export_core.delivery import Archive, Checkpoint, Delivery, DeliveryContext
from export_core.errors import DestinationUnusable, PackmuleError, UsageError
from export_core.job import Job
from strategies import s3_object
from strategies.metering import Meter
from strategies.rate_limit import RateLimit
from strategies.s3_body import count_bodies
from strategies.s3_client import FEW_ATTEMPTS, Access, connect
from strategies.s3_destination import S3Destination, checked_endpoint
from strategies.s3_errors import translated
from strategies.s3_multipart import Flow
from strategies.s3_object import JOB, SHA256
from strategies.s3_parts import LARGEST_OBJECT, SMALLEST_PART, UploadState, part_size
from strategies.s3_upload import S3Upload, open_uploads_of
from strategies.surroundings import Surroundings
from strategies.words import Words

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PARALLEL = 4
_MOST_PARALLEL = 64
_PROBE = "packmule-check"
"""Stands for the archive's name, which is not known before the export."""


@dataclass(frozen=True, slots=True)
class WebUploadS3:
    """Options of an upload to S3: what is stored with the job. Credentials are never among them."""

    to: str
    endpoint_url: str | None = None
    profile: str | None = None
    region: str | None = None
    storage_class: str | None = None
    sse: str | None = None
    """Server-side encryption: ``AES256`` or ``aws:kms``."""
    sse_kms_key_id: str | None = None
    limit_rate: int | None = None
    """Bytes per second."""
    parallel: int = _PARALLEL
    no_local_copy: bool = False

    def __post_init__(self) -> None:
        _ = self._place
        checked_endpoint(self.endpoint_url)
        if not 1 <= self.parallel <= _MOST_PARALLEL:
            raise UsageError(f"--parallel {self.parallel}: 1 to {_MOST_PARALLEL} parts can be sent at a time")
        if self.sse_kms_key_id and self.sse not in ("aws:kms", "aws:kms:dsse"):
            raise UsageError("a KMS key needs KMS encryption", hint="add --sse aws:kms")

    @classmethod
    def from_words(cls, words: Words) -> Self:
        """From the command line and config.toml. Raises UsageError."""
        return cls(
            to=words.to or "",
            endpoint_url=words.endpoint_url,
            profile=words.profile,
            region=words.region,
            storage_class=words.more.get("storage_class"),
            sse=words.more.get("sse"),
            sse_kms_key_id=words.more.get("sse_kms_key_id"),
            limit_rate=words.limit_rate,
            parallel=_number(words.more.get("parallel")),
            no_local_copy=not words.local_copy,
        )

    @classmethod
    def from_options(cls, options: Mapping[str, Any], surroundings: Surroundings) -> Self:
        """From what was stored with a job."""
        del surroundings
        return cls(**options)

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return "web-upload"

    @property
    def destination(self) -> str:
        """Where archives go, with the placeholders as they were given."""
        return self.to

    @property
    def options(self) -> Mapping[str, Any]:
        """As JSON; what was not said is left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def wants_file(self) -> bool:
        """False with ``--no-local-copy``: parts are then read straight from the segments."""
        return not self.no_local_copy

    def check(self, job: Job, expected_size: int | None) -> None:
        """Start and abort an upload at the destination, which proves the right to write there."""
        self._refuse_too_large(expected_size or 0)
        state = UploadState(self._place.bucket, self._place.key(job, _PROBE), 0, "")
        with self._client(state.key) as client:
            s3_object.probe(client, state, self._headers(job, None))

    def deliver(self, archive: Archive, context: DeliveryContext) -> Delivery:
        """Upload the archive, or what is missing of it."""
        self._refuse_too_large(archive.size)
        planned = self._planned(archive, context.job)
        headers = self._headers(context.job, archive.sha256)
        with self._client(planned.key) as client:
            meter = Meter(context.job.id, archive.size, context.listener)
            flow = Flow(meter, RateLimit(self.limit_rate), self.parallel)
            state, facts = S3Upload(client, archive, context, headers, flow).run(planned)
            warnings = self._sweep(client, state)
        return self._delivery(state, facts, warnings)

    def abandon(self, job: Job, checkpoint: Checkpoint) -> None:
        """Abort every upload that this job left open."""
        del job
        state = UploadState.from_json(checkpoint.load())
        if state is not None:
            with self._client(state.key) as client:
                for orphan in open_uploads_of(client, state, own_key=self._place.is_own):
                    s3_object.abort(client, orphan)

    def still_there(self, job: Job) -> bool:
        """Whether the object is there with the archive's length and digest."""
        details = job.delivery.get("details") or job.delivery
        bucket, key = details.get("bucket"), details.get("key")
        if not bucket or not key or job.archive is None:
            return False
        with self._client(key) as client:
            facts = s3_object.head(client, bucket, key, FEW_ATTEMPTS)
        return facts is not None and s3_object.is_archive(facts, job.archive.size, job.archive.sha256)

    def _sweep(self, client: S3Client, state: UploadState) -> tuple[str, ...]:
        """After the delivery, abort uploads of this job that were begun without our learning their number."""
        if not self._place.is_own or state.upload_id is None:
            return ()
        try:
            with translated(self.destination):
                for orphan in s3_object.open_uploads(client, state.bucket, state.key):
                    s3_object.abort(client, orphan)
        except PackmuleError as exc:
            return (f"unfinished uploads could not be looked for: {exc.message}",)
        return ()

    def _delivery(self, state: UploadState, facts: Mapping[str, Any], warnings: tuple[str, ...]) -> Delivery:
        details = {
            "bucket": state.bucket,
            "key": state.key,
            "endpoint_url": self.endpoint_url,
            "etag": str(facts.get("ETag", "")).strip('"') or None,
            "version_id": facts.get("VersionId"),
            "parts": len(state.parts) or 1,
        }
        return Delivery(f"s3://{state.bucket}/{state.key}", details=details, warnings=warnings)

    @property
    def _place(self) -> S3Destination:
        return S3Destination.parse(self.to)

    @contextmanager
    def _client(self, key: str) -> Iterator[S3Client]:
        server = f" at {self.endpoint_url}" if self.endpoint_url else ""
        with translated(f"s3://{self._place.bucket}/{key}{server}"):
            access = Access(self.endpoint_url, self.profile, self.region)
            client = connect(access, connections=self.parallel + 1)
            count_bodies(client)
            with closing(client):
                yield client

    def _refuse_too_large(self, size: int) -> None:
        if size > LARGEST_OBJECT:
            raise DestinationUnusable(
                f"{self.to}: the archive has {size} bytes, and S3 takes 5 TiB at most",
                hint="leave relations out with --skip, or deliver it with move-file",
            )

    def _planned(self, archive: Archive, job: Job) -> UploadState:
        key = self._place.key(job, archive.file_name)
        several = archive.size > SMALLEST_PART
        cut = part_size(archive.size) if several else None
        return UploadState(self._place.bucket, key, archive.size, archive.sha256, cut)

    def _headers(self, job: Job, sha256: str | None) -> dict[str, Any]:
        wanted = {
            "ContentType": "application/gzip",
            "Metadata": {JOB: str(job.id), **({SHA256: sha256} if sha256 else {})},
            "StorageClass": self.storage_class,
            "ServerSideEncryption": self.sse,
            "SSEKMSKeyId": self.sse_kms_key_id,
        }
        return {name: value for name, value in wanted.items() if value is not None}


def _number(value: Any) -> int:
    try:
        return _PARALLEL if value is None else int(value)
    except ValueError:
        raise UsageError(f"--parallel {value!r} is not a number") from None
