"""GitLab's object storage, read through S3's API: uploads, LFS objects, diffs."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from export_core.errors import SourceInterrupted, SourceUnavailable
from export_core.sources.gitlab_db.settings import ObjectStorage

if TYPE_CHECKING:
    from botocore.client import BaseClient

_GONE = {"404", "NoSuchKey", "NotFound"}
_BEHIND_THE_END = {"416", "InvalidRange"}
_ATTEMPTS = 6
_WAIT = 0.2
"""Seconds before the second attempt; twice as many before each further one, 5 at most."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object that is there."""

    size: int
    etag: str


class Objects:
    """The objects of one storage. Thread-safe, as boto3's clients are."""

    def __init__(self, settings: ObjectStorage) -> None:
        self._settings = settings

    def find(self, kind: str, key: str) -> Found | None:
        """Size in bytes and ETag of an object; None when it is not there. Raises SourceUnavailable."""
        bucket, full_key = self._place(kind, key)
        try:
            head = self._client().head_object(Bucket=bucket, Key=full_key)
        except Exception as exc:
            if _code(exc) in _GONE:
                return None
            raise _unavailable(bucket, full_key, exc) from exc
        return Found(int(head["ContentLength"]), str(head.get("ETag", "")).strip('"'))

    def open(self, kind: str, key: str) -> BinaryIO:
        """A stream of an object, which goes on where a lost connection broke it. Raises SourceUnavailable."""
        bucket, full_key = self._place(kind, key)
        return cast(BinaryIO, _Stream(self._client(), bucket, full_key))

    def window(self, kind: str, key: str, start: int, size: int) -> bytes | None:
        """The bytes from ``start`` on, ``size`` at most; None when there is no such object.

        Empty when the object ends before ``start``. Raises SourceUnavailable.
        """
        bucket, full_key = self._place(kind, key)
        try:
            with _Stream(self._client(), bucket, full_key, start, start + size - 1) as stream:
                return stream.read()
        except SourceUnavailable as exc:
            code = _code(exc.__cause__) if exc.__cause__ else ""
            if code in _BEHIND_THE_END:
                return b""
            if code in _GONE:
                return None
            raise

    def check(self, kind: str) -> None:
        """See that the bucket of a kind answers, and its prefix may be listed. Raises SourceUnavailable."""
        bucket, prefix = self._place(kind, "")
        try:
            self._client().list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
        except Exception as exc:
            raise _unavailable(bucket, prefix, exc) from exc

    def _place(self, kind: str, key: str) -> tuple[str, str]:
        """A name with a slash is bucket/prefix; the prefix is in front of every key, not in the database."""
        configured = self._settings.buckets.get(kind)
        if configured is None:
            raise SourceUnavailable(
                f"no bucket is configured for {kind}, but GitLab keeps {key!r} in object storage",
                hint=f"set object_storage.buckets.{kind} of the source in config.toml",
            )
        bucket, _, prefix = configured.partition("/")
        return bucket, f"{prefix.strip('/')}/{key}" if prefix else key

    def _client(self) -> Any:
        provider = self._settings.provider or "AWS"
        if provider.lower() != "aws":
            raise _foreign(provider)
        return _client(
            self._settings.endpoint,
            self._settings.region,
            self._settings.profile,
            self._settings.access_key_id,
            self._settings.secret_access_key,
        )


@lru_cache(maxsize=4)
def _client(
    endpoint: str | None, region: str | None, profile: str | None, key: str | None, secret: str | None
) -> BaseClient:
    try:
        import boto3
        from botocore.config import Config
    except ModuleNotFoundError as exc:
        raise SourceUnavailable(
            "object storage needs boto3, which is not installed", hint="pip install 'packmule[s3]'"
        ) from exc
    session = boto3.Session(
        aws_access_key_id=key, aws_secret_access_key=secret, region_name=region, profile_name=profile
    )
    config = Config(retries={"mode": "standard", "max_attempts": 6}, max_pool_connections=32)
    return session.client("s3", endpoint_url=endpoint, config=config)


class _Stream(io.RawIOBase):
    """An object as it comes. A connection that breaks is made again from there, if the object is the same."""

    def __init__(self, client: Any, bucket: str, key: str, start: int = 0, last: int | None = None) -> None:
        super().__init__()
        self._client, self._bucket, self._key = client, bucket, key
        self._next, self._last = start, last
        self._etag: str | None = None
        self._body: Any = None
        self._attempts = self._attempt()
        self._interrupted = False
        self._connect()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:  # the base class would copy every block
        """Up to ``size`` bytes; all that is left for -1. Empty at the end."""
        if size < 0:
            return b"".join(iter(lambda: self.read(1 << 20), b""))
        while True:
            try:
                data: bytes = self._body.read(size)
            except _broken() as exc:
                self._again(exc)
                continue
            if data and self._interrupted:  # it does go on: as many attempts for the next time
                self._attempts, self._interrupted = self._attempt(), False
            self._next += len(data)
            return data

    def close(self) -> None:
        """Let the connection go."""
        if self._body is not None:
            self._body.close()
        super().close()

    def _connect(self) -> None:
        asked: dict[str, Any] = {"IfMatch": self._etag} if self._etag else {}
        if self._next or self._last is not None:
            asked["Range"] = f"bytes={self._next}-{'' if self._last is None else self._last}"
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key, **asked)
        except Exception as exc:
            raise _unavailable(self._bucket, self._key, exc) from exc
        self._etag, self._body = answer.get("ETag"), answer["Body"]

    def _again(self, exc: Exception) -> None:
        """Connect anew behind what was read, after a while. Raises SourceInterrupted in the end."""
        self._body.close()
        self._interrupted = True
        if next(self._attempts, None) is None:
            raise SourceInterrupted(
                f"s3://{self._bucket}/{self._key} broke off {_ATTEMPTS} times at byte {self._next}:"
                f" {type(exc).__name__}",
                hint="look at the network, then: packmule resume",
            ) from exc
        self._connect()

    def _attempt(self) -> Iterator[int]:
        for number in range(1, _ATTEMPTS):
            time.sleep(min(_WAIT * 2 ** (number - 1), 5.0))
            yield number


def _broken() -> tuple[type[Exception], ...]:
    """What a body that breaks off raises: botocore's own errors, which are no OSErrors."""
    from botocore.exceptions import BotoCoreError

    return (BotoCoreError, OSError)


def _code(exc: BaseException) -> str:
    response = getattr(exc, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def _foreign(provider: str) -> SourceUnavailable:
    """A store that speaks another language than S3."""
    if provider.lower() == "google":
        way = (
            "set object_storage of the source: endpoint https://storage.googleapis.com, and an HMAC key"
            " (its settings, Interoperability) as access_key_id and secret_access_key"
        )
    else:
        way = "set object_storage of the source to an S3 gateway before it, or copy the files to directories"
    return SourceUnavailable(
        f"GitLab keeps files in the object storage of {provider}; packmule reads storage that speaks S3",
        hint=f"{way}; or --skip uploads,avatar,lfs_objects",
    )


def _unavailable(bucket: str, key: str, exc: Exception) -> SourceUnavailable:
    if isinstance(exc, SourceUnavailable):
        return exc
    what = f"s3://{bucket}/{key}" if key else f"the bucket {bucket}"
    said = _code(exc) or type(exc).__name__
    return SourceUnavailable(
        f"{what} of GitLab's object storage cannot be read: {said}",
        hint="check endpoint, bucket names and credentials of the source in config.toml",
    )
