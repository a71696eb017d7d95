from __future__ import annotations

import pytest
import stamina
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError

from strategies.s3_client import PartDamagedError, code, is_passing, status, with_retries

URL = "http://minio:9000"


def answer(http: int, name: str) -> ClientError:
    response = {"Error": {"Code": name}, "ResponseMetadata": {"HTTPStatusCode": http}}
    return ClientError(response, "UploadPart")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "error",
    [
        answer(500, "InternalError"),
        answer(500, "SomethingNew"),
        answer(502, "502"),
        answer(503, "SlowDown"),
        answer(504, "504"),
        answer(429, "TooManyRequests"),
        answer(200, "SlowDown"),  # S3 may answer 200 and then an error while it joins parts
        answer(400, "RequestTimeout"),
        answer(400, "BadDigest"),
        EndpointConnectionError(endpoint_url=URL),
        ConnectionClosedError(endpoint_url=URL),
        ReadTimeoutError(endpoint_url=URL),
        ResponseParserError("no element found"),
        PartDamagedError("other bytes"),
    ],
)
def test_what_passes(error: Exception) -> None:
    assert is_passing(error)


@pytest.mark.parametrize(
    "error",
    [
        answer(400, "InvalidRequest"),
        answer(403, "AccessDenied"),
        answer(404, "NoSuchUpload"),
        answer(301, "PermanentRedirect"),
        NoCredentialsError(),
        OSError("the local disk"),
        KeyError("UploadId"),
    ],
)
def test_what_does_not(error: Exception) -> None:
    assert not is_passing(error)


def test_it_tries_again_and_then_gives_the_last_error() -> None:
    errors = [answer(503, "SlowDown"), answer(503, "SlowDown"), answer(500, "InternalError")]

    def request() -> str:
        raise errors.pop(0)

    with stamina.set_testing(True, attempts=3), pytest.raises(ClientError) as failed:
        with_retries(request)
    assert (code(failed.value), status(failed.value)) == ("InternalError", 500)
    assert errors == []


def test_it_does_not_try_again_what_will_not_pass() -> None:
    tries = []

    def request() -> str:
        tries.append(1)
        raise answer(403, "AccessDenied")

    with stamina.set_testing(True, attempts=3), pytest.raises(ClientError):
        with_retries(request)
    assert len(tries) == 1
