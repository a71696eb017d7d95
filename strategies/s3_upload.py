"""The story of one upload: find what is there, begin or go on, send, join, check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from export_core.delivery import Archive, DeliveryContext
from export_core.errors import DeliveryInterrupted
from strategies import s3_object
from strategies.s3_body import measure
from strategies.s3_client import ATTEMPTS, FEW_ATTEMPTS, code, with_retries
from strategies.s3_multipart import (
    Flow,
    PartMover,
    PresentPart,
    SentPart,
    checked_etag,
    complete,
    present_parts,
    whole_etag,
    with_body,
)
from strategies.s3_object import OrphanUpload
from strategies.s3_parts import UploadPart, UploadState

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Facts = Mapping[str, Any]
"""What the server says of the finished object."""


class S3Upload:
    """One delivery of one archive. Raises botocore's errors as they are, and PackmuleError."""

    def __init__(
        self,
        client: S3Client,
        archive: Archive,
        context: DeliveryContext,
        headers: Mapping[str, Any],
        flow: Flow,
    ) -> None:
        self._client = client
        self._archive = archive
        self._context = context
        self._headers = headers
        self._flow = flow

    def run(self, planned: UploadState) -> tuple[UploadState, Facts]:
        """Upload, or finish an upload that the checkpoint knows."""
        saved = UploadState.from_json(self._context.checkpoint.load())
        if saved is not None and saved.is_of(planned):
            present = known_parts(self._client, saved)
            if present is not None:
                return saved, self._parts(saved, present)
            facts = s3_object.arrived(self._client, saved)
            if facts is not None:
                return saved, facts
        elif saved is not None and saved.upload_id is not None:
            s3_object.abort(self._client, OrphanUpload(saved.bucket, saved.key, saved.upload_id))
        return self._anew(planned)

    def _anew(self, planned: UploadState) -> tuple[UploadState, Facts]:
        """The key is remembered, then the upload begun, then its number remembered: at no moment does an
        upload exist that ``open_uploads_of`` would not find.
        """
        self._context.checkpoint.save(planned.to_json())
        if planned.part_size is None:
            return planned, self._put(planned)
        state = s3_object.begin(self._client, planned, self._headers)
        self._context.checkpoint.save(state.to_json())
        return state, self._parts(state, {})

    def _put(self, state: UploadState) -> Facts:
        whole = UploadPart(1, 0, state.size)
        digest = measure(self._archive, whole, self._context.check_stop)

        def send(body: IO[bytes]) -> str:
            answer = self._client.put_object(
                Bucket=state.bucket,
                Key=state.key,
                Body=body,
                ContentLength=state.size,
                ContentMD5=digest.md5_base64,
                **self._headers,
            )
            return checked_etag(answer, digest)

        check_stop = self._context.check_stop
        return {"ETag": with_body(self._archive, whole, self._flow, check_stop=check_stop, send=send)}

    def _parts(self, state: UploadState, present: Mapping[int, PresentPart]) -> Facts:
        mover = PartMover(self._client, state, self._archive, self._context, self._flow)
        sent = mover.move(present)
        self._context.check_stop()
        facts = with_retries(lambda: self._complete(state, sent))
        if not s3_object.is_whole(facts, whole_etag([part.digest for part in sent])):
            self._throw_away(state)
        return facts

    def _complete(self, state: UploadState, sent: Sequence[SentPart]) -> Facts:
        """Join the parts. Where the answer got lost although the server has joined them, the object tells."""
        try:
            return complete(self._client, state, sent)
        except Exception:
            facts = s3_object.arrived(self._client, state)
            if facts is None:
                raise
            return facts

    def _throw_away(self, state: UploadState) -> None:
        """The joined object is not the archive: nobody must find it, and a resume begins anew."""
        with_retries(lambda: self._client.delete_object(Bucket=state.bucket, Key=state.key))
        self._context.checkpoint.save({})
        raise DeliveryInterrupted(
            f"s3://{state.bucket}/{state.key}: what arrived is not what was sent; it was removed",
            hint="upload it again with packmule resume",
        )


def known_parts(
    client: S3Client, state: UploadState, attempts: int = ATTEMPTS
) -> Mapping[int, PresentPart] | None:
    """The parts of an open multipart upload; None when the server does not know the upload (any more)."""
    from botocore.exceptions import ClientError

    if state.upload_id is None:
        return None
    try:
        return present_parts(client, state, attempts)
    except ClientError as exc:
        if code(exc) in ("NoSuchUpload", "NoSuchBucket", "404"):
            return None
        raise


def open_uploads_of(client: S3Client, state: UploadState, *, own_key: bool) -> tuple[OrphanUpload, ...]:
    """The unfinished uploads of a delivery: the one it remembered and, where no other job writes to the
    same key, those that were begun without our learning their number.
    """
    found: set[OrphanUpload] = set()
    if known_parts(client, state, FEW_ATTEMPTS) is not None:
        found.add(OrphanUpload(state.bucket, state.key, str(state.upload_id)))
    if own_key:
        found.update(s3_object.open_uploads(client, state.bucket, state.key))
    return tuple(found)
