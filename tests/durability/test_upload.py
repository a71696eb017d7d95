"""Exports into object storage, also without an archive on the disk: killed, resumed, the same bytes."""

from __future__ import annotations

import hashlib

import pytest

from tests.durability.scene import Scene, digest
from tests.strategies import s3_server as s3

s3_server, s3_environment, s3_own_client, bucket = (
    s3.s3_server,
    s3.s3_environment,
    s3.s3_own_client,
    s3.s3_bucket,
)


DELIVERY = ("archived:1", "checkpoint-delivery:1", "delivered:1")
STREAM = ("begun-uploads:1", "segment:5", "finished:5", *DELIVERY)
FILE = ("segment:9", "checkpoint:3", *DELIVERY)


@pytest.mark.parametrize(
    ("words", "kills"), [(("--no-local-copy",), STREAM), ((), FILE)], ids=["stream", "file"]
)
def test_kills_all_along(
    large: Scene, bucket: s3.Bucket, words: tuple[str, ...], kills: tuple[str, ...]
) -> None:
    wanted = large.out / "wanted.tar.gz"
    large.good("export", "a/b", "--source", "fake", "--to", str(wanted))
    where = ("--to", f"s3://{bucket.name}/x.tar.gz", "--endpoint-url", bucket.url, "--region", "us-east-1")
    command: tuple[str, ...] = ("export", "a/b", "--source", "fake", *where, *words)
    done: set[str] = set()
    for kill in kills:
        before = len(large.reads())
        assert large.run(*command, kill=kill).killed, kill
        assert not done & set(large.reads()[before:])
        done = large.finished(2)
        command = ("resume", "2")
    large.good(*command)
    assert hashlib.sha256(bucket.body("x.tar.gz")).hexdigest() == digest(wanted)
    assert bucket.uploads() == []
    parts = large.parts(2)
    assert {(status, times) for status, times, _ in parts.values()} == {("finished", 1)}
    large.nothing_is_left()
