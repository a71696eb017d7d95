"""Object storage: moto's server over HTTP, behind a proxy that keeps a list of requests."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.strategies.s3_proxy import FaultyProxy

KEY, SECRET = "planted-key-id", "planted-secret-key"
_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Store:
    """A bucket with a prefix, its contents written without packmule and without the proxy."""

    client: Any
    bucket: str
    proxy: FaultyProxy

    def put(self, key: str, data: bytes) -> None:
        """``key`` as the database has it."""
        self.client.put_object(Bucket=self.bucket, Key=f"some/prefix/{key}", Body=data)

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "endpoint": self.proxy.url,
            "region": "us-east-1",
            "access_key_id": KEY,
            "secret_access_key": SECRET,
            "buckets": dict.fromkeys(("uploads", "lfs", "external_diffs"), f"{self.bucket}/some/prefix"),
        }

    def requests(self) -> list[str]:
        """Operations that came in, in order."""
        return [seen.operation for seen in self.proxy.seen]


@pytest.fixture(scope="session")
def moto() -> Iterator[tuple[str, int]]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield server.get_host_and_port()
    server.stop()


@pytest.fixture
def store(moto: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    client = boto3.client(
        "s3",
        endpoint_url="http://{}:{}".format(*moto),
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    bucket = f"gitlab-{next(_NUMBERS)}"
    client.create_bucket(Bucket=bucket)
    with FaultyProxy(*moto) as proxy:
        yield Store(client, bucket, proxy)
