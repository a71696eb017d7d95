from __future__ import annotations

import pytest

from export_core.errors import UsageError
from strategies.s3_destination import S3Destination, checked_endpoint
from tests.strategies.s3_delivery import make_job


@pytest.mark.parametrize(
    ("to", "key"),
    [
        ("s3://bucket", "x_export.tar.gz"),
        ("s3://bucket/", "x_export.tar.gz"),
        ("s3://bucket/backups/", "backups/x_export.tar.gz"),
        ("s3://bucket/latest.tar.gz", "latest.tar.gz"),
        ("s3://bucket/{date}/{project}/{job}.tar.gz", "2026-11-21/group/sub/project/7.tar.gz"),
        ("s3://bucket/{project}/", "group/sub/project/x_export.tar.gz"),
        ("s3://bucket/a-{file}", "a-x_export.tar.gz"),
    ],
)
def test_the_key_of_a_job(to: str, key: str) -> None:
    place = S3Destination.parse(to)
    assert place.bucket == "bucket"
    assert place.key(make_job(), "x_export.tar.gz") == key


@pytest.mark.parametrize(
    ("to", "own"),
    [("s3://bucket/", True), ("s3://bucket/{job}.tgz", True), ("s3://bucket/{project}/{date}.tgz", False)],
)
def test_whether_a_key_is_the_job_s_own(to: str, own: bool) -> None:
    assert S3Destination.parse(to).is_own is own


@pytest.mark.parametrize(
    "to", ["", "s3://", "s3:///key", "s3://b", "https://x/y", "s3://bucket/{name}", "s3://bucket/{}"]
)
def test_words_that_name_no_place(to: str) -> None:
    with pytest.raises(UsageError) as refused:
        S3Destination.parse(to)
    assert refused.value.hint


def test_credentials_in_the_url_are_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as refused:
        S3Destination.parse("s3://AKIAKEY:hush-hush@bucket/key")
    assert "hush-hush" not in refused.value.message
    with pytest.raises(UsageError) as refused:
        checked_endpoint("http://AKIAKEY:hush-hush@minio:9000")
    assert "hush-hush" not in refused.value.message


@pytest.mark.parametrize("url", ["minio:9000", "ftp://minio", "http://", "http://minio/?a=b", "http://[bad"])
def test_no_endpoint(url: str) -> None:
    with pytest.raises(UsageError):
        checked_endpoint(url)


def test_a_key_that_s3_would_refuse() -> None:
    with pytest.raises(UsageError, match="1024"):
        S3Destination.parse("s3://bucket/" + "é" * 512 + "/x").key(make_job(), "f")
