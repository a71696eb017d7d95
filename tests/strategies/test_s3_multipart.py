from __future__ import annotations

import hashlib
from typing import Any

import pytest

from strategies.metering import Meter
from strategies.rate_limit import RateLimit
from strategies.s3_body import PartDigest
from strategies.s3_client import PartDamagedError, is_passing
from strategies.s3_multipart import Flow, PresentPart, checked_etag, present_parts, whole_etag
from strategies.s3_object import is_whole, open_uploads
from strategies.s3_parts import MIB, UploadPart, UploadState

PART = UploadPart(1, 0, 9)
DIGEST = PartDigest(hashlib.md5(b"123456789").digest(), 0xCBF43926)
ETAG = "25f9e794323b453885f5181f1b624d0b"
CRC32 = "y/Q5Jg=="
STATE = UploadState("bucket", "key", 9, "00", 8 * MIB, "upload")


@pytest.mark.parametrize(
    ("size", "etag", "crc32", "holds"),
    [
        (9, ETAG, None, True),
        (9, "0" * 32, CRC32, True),  # KMS: the ETag is no MD5
        (9, "0" * 32, None, False),
        (9, "0" * 32, "AAAAAA==", False),
        (8, ETAG, CRC32, False),
    ],
)
def test_whether_the_server_has_a_part(size: int, etag: str, crc32: str | None, holds: bool) -> None:
    assert PresentPart(size, etag, crc32).holds(PART, DIGEST) is holds


def test_the_etag_of_what_was_taken() -> None:
    assert checked_etag({"ETag": f'"{ETAG}"'}, DIGEST) == ETAG
    with pytest.raises(PartDamagedError) as damaged:
        checked_etag({"ETag": '"00"'}, DIGEST)
    assert is_passing(damaged.value)
    assert checked_etag({"ETag": '"00"', "ServerSideEncryption": "aws:kms"}, DIGEST) == "00"


def test_the_etag_of_the_whole() -> None:
    """AWS: the MD5 of the parts' MD5s, a dash, their number; here by ``printf | md5sum | xxd | md5sum``."""
    first, second = (PartDigest(hashlib.md5(data).digest(), 0) for data in (b"a", b"b"))
    etag = whole_etag([first, second])
    assert etag == "96e024ba2074fe77e8e965ba43a704be-2"
    assert is_whole({"ETag": f'"{etag}"'}, etag)
    assert not is_whole({"ETag": f'"{"0" * 32}-2"'}, etag)
    assert is_whole({"ETag": f'"{"0" * 32}-2"', "ServerSideEncryption": "aws:kms"}, etag)
    assert is_whole({"ETag": '"an-etag-of-another-kind"'}, etag)


@pytest.mark.parametrize(
    ("rate", "threads"), [(None, 4), (1000, 1), (2 * MIB, 1), (6 * MIB, 3), (1000 * MIB, 4)]
)
def test_a_slow_line_is_shared_by_few(rate: int | None, threads: int) -> None:
    assert Flow(Meter(1, 1, lambda _: None), RateLimit(rate), 4).threads == threads


class Pages:
    """An S3 client that lists in pages of two."""

    def __init__(self) -> None:
        self.markers: list[Any] = []

    def list_parts(self, PartNumberMarker: int, **_: Any) -> dict[str, Any]:  # noqa: N803
        self.markers.append(PartNumberMarker)
        numbers = [number for number in (1, 3, 4, 7, 9) if number > PartNumberMarker]
        parts = [{"PartNumber": number, "Size": number, "ETag": f'"{number}"'} for number in numbers[:2]]
        return {"Parts": parts, "IsTruncated": len(numbers) > 2, "NextPartNumberMarker": numbers[:2][-1]}

    def list_multipart_uploads(self, KeyMarker: str = "", UploadIdMarker: str = "", **_: Any) -> Any:  # noqa: N803
        self.markers.append((KeyMarker, UploadIdMarker))
        if not KeyMarker:
            uploads = [{"Key": "key", "UploadId": "a"}, {"Key": "key", "UploadId": "b"}]
            return {
                "Uploads": uploads,
                "IsTruncated": True,
                "NextKeyMarker": "key",
                "NextUploadIdMarker": "b",
            }
        return {"Uploads": [{"Key": "key", "UploadId": "c"}, {"Key": "key2", "UploadId": "d"}]}


def test_parts_are_listed_page_by_page() -> None:
    client = Pages()
    assert sorted(present_parts(client, STATE)) == [1, 3, 4, 7, 9]  # type: ignore[arg-type]
    assert client.markers == [0, 3, 7]


def test_uploads_are_listed_page_by_page() -> None:
    client = Pages()
    found = [upload.upload_id for upload in open_uploads(client, "bucket", "key")]  # type: ignore[arg-type]
    assert found == ["a", "b", "c"]
    assert client.markers == [("", ""), ("key", "b")]
