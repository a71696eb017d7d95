"""The object at its key, and the multipart uploads that are open for it: begin, look, check, abort."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from export_core.errors import DestinationUnusable
from strategies.s3_client import ATTEMPTS, FEW_ATTEMPTS, code, status, with_retries
from strategies.s3_multipart import encrypted_by_kms
from strategies.s3_parts import UploadState

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

JOB = "packmule-job"
SHA256 = "packmule-sha256"
"""Names in the object's metadata."""
_MULTIPART_ETAG = re.compile(r"[0-9a-f]{32}-\d+")
_NO_CHECKSUMS = frozenset({400, 501})
"""What servers say that do not know the header asking for checksums."""


@dataclass(frozen=True, slots=True)
class OrphanUpload:
    """A multipart upload that no delivery goes on with; its parts cost money until it is aborted."""

    bucket: str
    key: str
    upload_id: str


def begin(client: S3Client, state: UploadState, headers: Mapping[str, Any]) -> UploadState:
    """Start a multipart upload, with CRC-32 checksums kept by the server if it can do that."""
    from botocore.exceptions import ClientError

    try:
        answer = _create(client, state, {**headers, "ChecksumAlgorithm": "CRC32"})
    except ClientError as exc:
        if status(exc) not in _NO_CHECKSUMS:
            raise
        answer = _create(client, state, headers)
    crc32 = answer.get("ChecksumAlgorithm") == "CRC32"
    return replace(state, upload_id=answer["UploadId"], crc32=crc32)


def _create(
    client: S3Client, state: UploadState, headers: Mapping[str, Any], attempts: int = ATTEMPTS
) -> Mapping[str, Any]:
    answer: Mapping[str, Any] = with_retries(
        lambda: client.create_multipart_upload(Bucket=state.bucket, Key=state.key, **headers), attempts
    )
    if "UploadId" not in answer:
        raise DestinationUnusable(
            f"s3://{state.bucket}/{state.key}: what answers there is no S3 server",
            hint="check --endpoint-url: it must name the S3 interface, not a console or a web page",
        )
    return answer


def probe(client: S3Client, state: UploadState, headers: Mapping[str, Any]) -> None:
    """Prove that uploads to this key may be started and aborted, leaving nothing behind."""
    answer = _create(client, state, headers, FEW_ATTEMPTS)
    abort(client, OrphanUpload(state.bucket, state.key, answer["UploadId"]))


def abort(client: S3Client, upload: OrphanUpload) -> None:
    """Remove an unfinished upload and its parts; one that is gone already is fine."""
    from botocore.exceptions import ClientError

    try:
        with_retries(
            lambda: client.abort_multipart_upload(
                Bucket=upload.bucket, Key=upload.key, UploadId=upload.upload_id
            ),
            FEW_ATTEMPTS,
        )
    except ClientError as exc:
        if code(exc) not in ("NoSuchUpload", "NoSuchBucket", "404"):
            raise


def open_uploads(client: S3Client, bucket: str, key: str) -> Iterator[OrphanUpload]:
    """Every unfinished multipart upload at exactly this key; none where we may not list them."""
    from botocore.exceptions import ClientError

    ask = partial(client.list_multipart_uploads, Bucket=bucket, Prefix=key)
    while True:
        try:
            page = with_retries(ask, FEW_ATTEMPTS)
        except ClientError as exc:
            if status(exc) == 403 or code(exc) == "NoSuchBucket":
                return
            raise
        for upload in page.get("Uploads", ()):
            if upload["Key"] == key:
                yield OrphanUpload(bucket, key, upload["UploadId"])
        if not page.get("IsTruncated"):
            return
        ask = partial(ask, KeyMarker=page["NextKeyMarker"], UploadIdMarker=page["NextUploadIdMarker"])


def head(client: S3Client, bucket: str, key: str, attempts: int = ATTEMPTS) -> Mapping[str, Any] | None:
    """What the server says of the object; None when it is not there."""
    from botocore.exceptions import ClientError

    try:
        return with_retries(lambda: client.head_object(Bucket=bucket, Key=key), attempts)
    except ClientError as exc:
        if status(exc) == 404:
            return None
        raise


def arrived(client: S3Client, state: UploadState) -> Mapping[str, Any] | None:
    """The object's facts if it is this very archive, else None.

    Without the right to read objects S3 answers 403; then nothing is known, and the upload goes on.
    """
    from botocore.exceptions import ClientError

    try:
        facts = head(client, state.bucket, state.key)
    except ClientError as exc:
        if status(exc) == 403:
            return None
        raise
    return facts if facts and is_archive(facts, state.size, state.sha256) else None


def is_archive(facts: Mapping[str, Any], size: int, sha256: str) -> bool:
    """Whether an object is this archive, by its length and by the digest that packmule gave it."""
    return bool(facts["ContentLength"] == size) and facts.get("Metadata", {}).get(SHA256) == sha256


def is_whole(facts: Mapping[str, Any], etag: str) -> bool:
    """Whether the server's digest over the joined object is ours, where it has one that can be compared."""
    found = str(facts.get("ETag", "")).strip('"')
    if encrypted_by_kms(facts) or not _MULTIPART_ETAG.fullmatch(found):
        return True
    return found == etag
