"""The connection to S3 and to everything that speaks it: one client, one retry policy.

boto3's own retries are switched off, so that there is one policy and not one inside another: ``with_retries``
around a whole request, body and all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import stamina

from export_core.errors import UsageError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")

ATTEMPTS = 10
"""Of one request while delivering; with the waits between them they outlast about a minute."""
FEW_ATTEMPTS = 3
"""Where a person waits for the answer: checks before the export, and cleaning up."""
_LONGEST_WAIT = 10.0
_CONNECT_TIMEOUT = 10
_READ_TIMEOUT = 60
"""Seconds."""
_PASSING_STATUS = frozenset({408, 429, 500, 502, 503, 504})
_PASSING_CODES = frozenset(
    {
        "SlowDown",
        "RequestTimeout",
        "InternalError",
        "ServiceUnavailable",
        "ThrottlingException",
        "BadDigest",
        "IncompleteBody",
        "OperationAborted",
    }
)
"""S3's error codes after which the same request may succeed; BadDigest: the body was damaged on its way."""


class PartDamagedError(Exception):
    """The server's digest of a body is not ours; sending it again may help."""


@dataclass(frozen=True, slots=True)
class Access:
    """Which server, and as whom; None leaves it to the environment and ``~/.aws``, as the AWS tools do."""

    endpoint_url: str | None = None
    profile: str | None = None
    region: str | None = None


def connect(access: Access, connections: int = 2) -> S3Client:
    """A client, safe for many threads; nothing is sent yet. Raises UsageError and botocore's errors.

    Checksums are computed by packmule and sent as plain headers: boto3's own come as chunked trailers, which
    many servers that speak S3 do not understand.
    """
    try:
        import boto3
        from botocore.config import Config
    except ImportError as exc:
        raise UsageError(
            "uploading to S3 needs boto3, which is not installed", hint="pip install 'packmule[s3]'"
        ) from exc
    config = Config(
        connect_timeout=_CONNECT_TIMEOUT,
        read_timeout=_READ_TIMEOUT,
        max_pool_connections=connections,
        retries={"total_max_attempts": 1, "mode": "standard"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        user_agent_extra="packmule",
    )
    session = boto3.Session(profile_name=access.profile, region_name=access.region)
    return session.client("s3", endpoint_url=access.endpoint_url, config=config)


def with_retries(request: Callable[[], T], attempts: int = ATTEMPTS) -> T:
    """Make a request until it succeeds, with growing waits; raises its last error as it is."""
    for attempt in stamina.retry_context(
        on=is_passing,
        attempts=attempts,
        timeout=None,
        wait_initial=0.5,
        wait_max=_LONGEST_WAIT,
        wait_jitter=1.0,
    ):
        with attempt:
            return request()
    raise AssertionError("a retry loop ends by success or by an error")


def is_passing(error: Exception) -> bool:
    """Whether the same request may succeed a little later."""
    from botocore.exceptions import ClientError, ConnectionError, HTTPClientError, IncompleteReadError
    from botocore.parsers import ResponseParserError

    if isinstance(error, ClientError):
        return status(error) in _PASSING_STATUS or code(error) in _PASSING_CODES
    # ResponseParserError: the answer broke off in the middle.
    passing = (ConnectionError, HTTPClientError, IncompleteReadError, ResponseParserError, PartDamagedError)
    return isinstance(error, passing)


def code(error: BaseException) -> str:
    """S3's error code (``NoSuchUpload``), the HTTP status for answers without a body, or nothing."""
    answer = getattr(error, "response", None) or {}
    return str(answer.get("Error", {}).get("Code", ""))


def status(error: BaseException) -> int:
    """The HTTP status of an error answer, or 0."""
    answer = getattr(error, "response", None) or {}
    return int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
