"""Fixtures: moto's S3 server over HTTP, a bucket of the test's own and plain sight of what is in it, a proxy
before it, and an archive to upload. A test module imports them by their functions' names.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import stamina
from moto.server import ThreadedMotoServer

from strategies.s3_parts import MIB
from strategies.web_upload_s3 import WebUploadS3
from tests.strategies.s3_delivery import FileArchive, FileCheckpoint, Run, random_file
from tests.strategies.s3_proxy import FaultyProxy

NAME = "2026-11-21_18-04-050_group_sub_project_export.tar.gz"
SECRET_KEY = "planted-secret-access-key"
SESSION_TOKEN = "planted-session-token"
_NUMBERS = itertools.count(1)


@dataclass
class Bucket:
    """What boto3 sees without packmule and without the proxy."""

    client: Any
    name: str
    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def keys(self) -> list[str]:
        return [item["Key"] for item in self.client.list_objects_v2(Bucket=self.name).get("Contents", [])]

    def body(self, key: str) -> bytes:
        body: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return body

    def head(self, key: str) -> dict[str, Any]:
        facts: dict[str, Any] = self.client.head_object(Bucket=self.name, Key=key)
        return facts

    def uploads(self) -> list[str]:
        answer = self.client.list_multipart_uploads(Bucket=self.name)
        return [upload["UploadId"] for upload in answer.get("Uploads", [])]


@pytest.fixture(scope="session")
def s3_server() -> Iterator[tuple[str, int]]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield server.get_host_and_port()
    server.stop()


@pytest.fixture
def s3_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials as the AWS tools take them, and nothing of the machine's own."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "planted-key-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_SESSION_TOKEN", SESSION_TOKEN)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws-credentials"))


@pytest.fixture(scope="session")
def s3_own_client(s3_server: tuple[str, int]) -> Any:
    return boto3.client(
        "s3",
        endpoint_url="http://{}:{}".format(*s3_server),
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@pytest.fixture(name="bucket")
def s3_bucket(s3_server: tuple[str, int], s3_own_client: Any, s3_environment: None) -> Bucket:
    (host, port), client = s3_server, s3_own_client
    name = f"packmule-{next(_NUMBERS)}"
    client.create_bucket(Bucket=name)
    return Bucket(client, name, host, port)


@pytest.fixture(name="proxy")
def s3_proxy(bucket: Bucket) -> Iterator[FaultyProxy]:
    with FaultyProxy(bucket.host, bucket.port) as server:
        yield server


@pytest.fixture(scope="session", name="big_file")
def s3_big_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 MiB and a bit: three parts, the last one small."""
    return random_file(tmp_path_factory.mktemp("archive") / NAME, 16 * MIB + 12345)


@pytest.fixture(name="run")
def s3_run(big_file: Path, tmp_path: Path) -> Run:
    return Run(FileArchive(big_file), FileCheckpoint(tmp_path / "checkpoint.json"))


@pytest.fixture(autouse=True)
def s3_no_waiting(s3_environment: None) -> Iterator[None]:
    """As many attempts as in earnest, without the waits between them."""
    with stamina.set_testing(True, attempts=10):
        yield


def upload_to(bucket: Bucket, server: FaultyProxy | Bucket, key: str = "", **options: Any) -> WebUploadS3:
    return WebUploadS3(f"s3://{bucket.name}/{key}", endpoint_url=server.url, region="us-east-1", **options)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
