"""GitLab's object storage, read through S3's API: uploads, LFS objects, diffs."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from export_core.errors import SourceUnavailable
from export_core.sources.gitlab_db.settings import ObjectStorage

if TYPE_CHECKING:
    from botocore.client import BaseClient

_GONE = {"404", "NoSuchKey", "NotFound"}


class Objects:
    """The objects of one storage. Thread-safe, as boto3's clients are."""

    def __init__(self, settings: ObjectStorage) -> None:
        self._settings = settings

    def size(self, kind: str, key: str) -> int | None:
        """Bytes of an object; None when it is not there. Raises SourceUnavailable."""
        bucket, full_key = self._place(kind, key)
        try:
            head = self._client().head_object(Bucket=bucket, Key=full_key)
        except Exception as exc:
            if _code(exc) in _GONE:
                return None
            raise _unavailable(bucket, full_key, exc) from exc
        return int(head["ContentLength"])

    def open(self, kind: str, key: str, place: tuple[int, int] | None = None) -> BinaryIO:
        """A stream of an object, or of ``place`` = (offset, size) of it. Raises SourceUnavailable."""
        bucket, full_key = self._place(kind, key)
        extra = {} if place is None else {"Range": f"bytes={place[0]}-{place[0] + place[1] - 1}"}
        try:
            return cast(BinaryIO, self._client().get_object(Bucket=bucket, Key=full_key, **extra)["Body"])
        except Exception as exc:
            raise _unavailable(bucket, full_key, exc) from exc

    def check(self, kind: str) -> None:
        """See that the bucket of a kind answers. Raises SourceUnavailable."""
        bucket, _ = self._place(kind, "")
        try:
            self._client().head_bucket(Bucket=bucket)
        except Exception as exc:
            raise _unavailable(bucket, "", exc) from exc

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


def _code(exc: Exception) -> str:
    response = getattr(exc, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def _unavailable(bucket: str, key: str, exc: Exception) -> SourceUnavailable:
    if isinstance(exc, SourceUnavailable):
        return exc
    what = f"s3://{bucket}/{key}" if key else f"the bucket {bucket}"
    said = _code(exc) or type(exc).__name__
    return SourceUnavailable(
        f"{what} of GitLab's object storage cannot be read: {said}",
        hint="check endpoint, bucket names and credentials of the source in config.toml",
    )
