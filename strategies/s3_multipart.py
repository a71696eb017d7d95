"""Moves the parts of one multipart upload: several at a time, each until the server has exactly its bytes."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING, Any, cast

from export_core.delivery import Archive, DeliveryContext
from export_core.errors import Interrupted
from strategies.metering import Meter
from strategies.rate_limit import RateLimit
from strategies.s3_body import PartDigest, PartReader, measure
from strategies.s3_client import ATTEMPTS, PartDamagedError, with_retries
from strategies.s3_parts import MIB, UploadPart, UploadState

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

_LOOK_AROUND = 0.5
"""Seconds between two looks whether the job must stop."""
_LET_GO = 5.0
"""Seconds given to threads in the middle of a request when the job stops."""
_BUSY_THREAD = 2 * MIB
"""Bytes per second. Under a rate limit fewer threads send, so that none starves until the server hangs up."""


@dataclass(frozen=True, slots=True)
class PresentPart:
    """A part that the server already has."""

    size: int
    etag: str
    crc32: str | None

    def holds(self, part: UploadPart, digest: PartDigest) -> bool:
        """Whether it is this part, byte for byte as far as the server's digests tell.

        Where KMS encrypts, the ETag is no MD5: a CRC-32 that the server keeps decides then.
        """
        if self.size != part.size:
            return False
        return self.etag == digest.etag or self.crc32 == digest.crc32_base64


@dataclass(frozen=True, slots=True)
class SentPart:
    """A part that the server has, with its digests."""

    number: int
    etag: str
    """As the server calls it."""
    digest: PartDigest


@dataclass(frozen=True, slots=True)
class Flow:
    """How bytes leave this machine."""

    meter: Meter
    limit: RateLimit
    parallel: int

    @property
    def threads(self) -> int:
        """Parts sent at a time."""
        if self.limit.rate is None:
            return self.parallel
        return max(1, min(self.parallel, self.limit.rate // _BUSY_THREAD))


def present_parts(
    client: S3Client, state: UploadState, attempts: int = ATTEMPTS
) -> Mapping[int, PresentPart]:
    """The parts that the server has of an upload, by number. Raises ClientError, such as NoSuchUpload."""
    found: dict[int, PresentPart] = {}
    ask = partial(client.list_parts, Bucket=state.bucket, Key=state.key, UploadId=str(state.upload_id))
    marker = 0
    while True:
        page = with_retries(partial(ask, PartNumberMarker=marker), attempts)
        for part in page.get("Parts", ()):
            found[part["PartNumber"]] = PresentPart(
                part["Size"], part["ETag"].strip('"'), part.get("ChecksumCRC32")
            )
        if not page.get("IsTruncated"):
            return found
        marker = page["NextPartNumberMarker"]


def complete(client: S3Client, state: UploadState, sent: Sequence[SentPart]) -> Mapping[str, Any]:
    """Join the parts into the object; the server's answer."""
    parts = [_named(part, state) for part in sent]
    return client.complete_multipart_upload(
        Bucket=state.bucket,
        Key=state.key,
        UploadId=str(state.upload_id),
        MultipartUpload={"Parts": parts},
    )


def _named(part: SentPart, state: UploadState) -> CompletedPartTypeDef:
    if state.crc32:
        return {
            "PartNumber": part.number,
            "ETag": part.etag,
            "ChecksumCRC32": part.digest.crc32_base64,
        }
    return {"PartNumber": part.number, "ETag": part.etag}


def whole_etag(digests: Collection[PartDigest]) -> str:
    """The ETag that S3 gives a multipart object: the MD5 of its parts' MD5s, and their number."""
    joined = b"".join(digest.md5 for digest in digests)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(digests)}"


class PartMover:
    """Brings every part of an upload to the server; parts that are there already are not sent again."""

    def __init__(
        self,
        client: S3Client,
        state: UploadState,
        archive: Archive,
        context: DeliveryContext,
        flow: Flow,
    ) -> None:
        self._client = client
        self._state = state
        self._archive = archive
        self._context = context
        self._flow = flow
        self._halt = threading.Event()

    def move(self, present: Mapping[int, PresentPart]) -> list[SentPart]:
        """Send what is missing or different. The first error that retries do not heal stops all threads."""
        pool = ThreadPoolExecutor(self._flow.threads, thread_name_prefix="s3-part")
        futures = [pool.submit(self._ensure, part, present.get(part.number)) for part in self._state.parts]
        try:
            self._watch(futures)
        except BaseException:
            self._halt.set()
            pool.shutdown(wait=False, cancel_futures=True)
            # A cancelled future that no thread took never counts as done.
            wait([future for future in futures if not future.cancelled()], timeout=_LET_GO)
            raise
        pool.shutdown()
        return [future.result() for future in futures]

    def _watch(self, futures: Collection[Future[SentPart]]) -> None:
        pending = set(futures)
        while pending:
            done, pending = wait(pending, timeout=_LOOK_AROUND, return_when=FIRST_EXCEPTION)
            self._context.check_stop()
            for future in done:
                future.result()

    def _check_stop(self) -> None:
        if self._halt.is_set():
            raise Interrupted("the upload was stopped")
        self._context.check_stop()

    def _ensure(self, part: UploadPart, present: PresentPart | None) -> SentPart:
        digest = measure(self._archive, part, self._check_stop)
        if present is not None and present.holds(part, digest):
            self._flow.meter.add(part.size)
            return SentPart(part.number, present.etag, digest)
        etag = with_body(
            self._archive,
            part,
            self._flow,
            check_stop=self._check_stop,
            send=lambda body: self._send(part, digest, body),
        )
        return SentPart(part.number, etag, digest)

    def _send(self, part: UploadPart, digest: PartDigest, body: IO[bytes]) -> str:
        checksum: dict[str, Any] = {"ChecksumCRC32": digest.crc32_base64} if self._state.crc32 else {}
        answer = self._client.upload_part(
            Bucket=self._state.bucket,
            Key=self._state.key,
            UploadId=str(self._state.upload_id),
            PartNumber=part.number,
            Body=body,
            ContentLength=part.size,
            ContentMD5=digest.md5_base64,
            **checksum,
        )
        return checked_etag(answer, digest)


def with_body(
    archive: Archive,
    part: UploadPart,
    flow: Flow,
    *,
    check_stop: Callable[[], None],
    send: Callable[[IO[bytes]], str],
) -> str:
    """Call ``send`` with a part's bytes until it succeeds. Our own errors come out as they are."""
    body = PartReader(archive, part, meter=flow.meter, limit=flow.limit, check_stop=check_stop)

    def attempt() -> str:
        check_stop()
        body.seek(0)
        try:
            return send(cast("IO[bytes]", body))
        except Exception as exc:
            if body.failure is not None:
                raise body.failure from exc
            raise

    with body:
        return with_retries(attempt)


def checked_etag(answer: Mapping[str, Any], digest: PartDigest) -> str:
    """The ETag of what the server took: its MD5, unless KMS encrypts. Raises PartDamagedError."""
    etag = str(answer.get("ETag", "")).strip('"')
    if etag != digest.etag and not encrypted_by_kms(answer):
        raise PartDamagedError(f"the server got other bytes: ETag {etag or 'missing'}, sent {digest.etag}")
    return etag


def encrypted_by_kms(answer: Mapping[str, Any]) -> bool:
    """Whether the ETag says nothing about the bytes."""
    return str(answer.get("ServerSideEncryption", "")).startswith("aws:kms")
