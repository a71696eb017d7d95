"""web-upload to S3, against moto's server over HTTP and mostly through a proxy that breaks things."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import strategies
from export_core.delivery import DeliveryContext, Strategy
from export_core.errors import DeliveryInterrupted, UsageError
from strategies.s3_parts import MIB
from strategies.surroundings import Surroundings
from strategies.web_upload_s3 import WebUploadS3
from strategies.words import Words
from tests.strategies.contract import FileArchive as SmallArchive
from tests.strategies.contract import StrategyContract, StreamedArchive
from tests.strategies.s3_delivery import FileArchive, FileCheckpoint, Run, random_file
from tests.strategies.s3_proxy import (
    ALL_FAULTS,
    CUT_AFTER,
    DAMAGE,
    NOT_IMPLEMENTED,
    OTHER_ETAG,
    SLOW_DOWN,
    FaultyProxy,
    Seen,
)
from tests.strategies.s3_server import (  # noqa: F401
    NAME,
    SECRET_KEY,
    SESSION_TOKEN,
    Bucket,
    s3_big_file,
    s3_bucket,
    s3_environment,
    s3_no_waiting,
    s3_own_client,
    s3_proxy,
    s3_run,
    s3_server,
    sha256,
    upload_to,
)


@dataclass
class S3Case:
    """The strategy contract's view of a bucket behind the proxy."""

    bucket: Bucket
    proxy: FaultyProxy
    file: Path
    surroundings: Surroundings = field(default_factory=Surroundings)
    secrets: tuple[str, ...] = (SECRET_KEY, SESSION_TOKEN)

    def strategy(self) -> Strategy:
        return upload_to(self.bucket, self.proxy, "exports/{job}.tar.gz")

    def archive(self) -> SmallArchive:
        return SmallArchive(self.file, self.file.read_bytes())

    def unusable(self) -> Strategy:
        return WebUploadS3("s3://no-such-bucket/x", endpoint_url=self.proxy.url)

    def fail_once(self) -> None:
        self.proxy.planned["UploadPart", 2] = [SLOW_DOWN] * 4
        self.proxy.planned["PutObject", 0] = [SLOW_DOWN] * 4

    def recover(self) -> None:
        self.proxy.planned.clear()

    def fail_for_good(self) -> None:
        self.bucket.client.delete_object(Bucket=self.bucket.name, Key="exports/7.tar.gz")
        for operation in ("UploadPart", "PutObject", "CreateMultipartUpload"):
            self.proxy.refusals[operation] = (403, "AccessDenied")

    def delivered(self) -> bytes | None:
        return self.bucket.body("exports/7.tar.gz") if self.bucket.keys() else None

    def leftovers(self) -> list[str]:
        return self.bucket.uploads()


@pytest.fixture(params=["one PUT", "several parts"])
def case(
    request: pytest.FixtureRequest,
    bucket: Bucket,
    proxy: FaultyProxy,
    tmp_path: Path,
    big_file: Path,
) -> S3Case:
    file = tmp_path / "archive.tar.gz"
    file.write_bytes(big_file.read_bytes()[: (1 if request.param == "one PUT" else 9) * MIB])
    return S3Case(bucket, proxy, file)


class TestContract(StrategyContract):
    """What every strategy keeps."""


class TestArrival:
    def test_everything_that_can_break_breaks(self, bucket: Bucket, tmp_path: Path) -> None:
        """60 MB; two requests in five are cut, delayed or refused."""
        archive = FileArchive(random_file(tmp_path / NAME, 60_000_000))
        run = Run(archive, FileCheckpoint(tmp_path / "checkpoint.json"))
        with FaultyProxy(bucket.host, bucket.port, ALL_FAULTS, seed=5) as proxy:
            for number, fault in enumerate(ALL_FAULTS, 1):
                proxy.planned["UploadPart", number] = [fault]
            delivery = run.deliver(upload_to(bucket, proxy))
        assert sha256(bucket.body(NAME)) == archive.sha256
        assert delivery.details["parts"] == 8
        assert bucket.uploads() == []
        assert {seen.fault for seen in proxy.seen} >= {*ALL_FAULTS, None}
        assert run.last_progress.done == run.last_progress.total == 60_000_000

    @pytest.mark.slow
    def test_three_hundred_megabytes(self, bucket: Bucket, tmp_path: Path) -> None:
        archive = FileArchive(random_file(tmp_path / NAME, 300_000_000))
        run = Run(archive, FileCheckpoint(tmp_path / "checkpoint.json"))
        with FaultyProxy(bucket.host, bucket.port, ALL_FAULTS, seed=11) as proxy:
            run.deliver(upload_to(bucket, proxy))
        assert sha256(bucket.body(NAME)) == archive.sha256
        assert sum(seen.fault is not None for seen in proxy.seen) > 10

    def test_a_small_archive_is_one_put(self, bucket: Bucket, proxy: FaultyProxy, tmp_path: Path) -> None:
        small = FileArchive(random_file(tmp_path / NAME, 100_000))
        run = Run(small, FileCheckpoint(tmp_path / "checkpoint.json"))
        proxy.planned["PutObject", 0] = [SLOW_DOWN, DAMAGE, CUT_AFTER]
        run.deliver(upload_to(bucket, proxy))
        assert sha256(bucket.body(NAME)) == small.sha256
        assert proxy.count("CreateMultipartUpload") == 0
        assert proxy.count("PutObject") == 4

    @pytest.mark.parametrize("size", [0, 1, 8 * MIB, 8 * MIB + 1])
    def test_sizes_at_the_edges(self, bucket: Bucket, tmp_path: Path, size: int) -> None:
        archive = FileArchive(random_file(tmp_path / NAME, size))
        Run(archive, FileCheckpoint(tmp_path / "c.json")).deliver(upload_to(bucket, bucket))
        assert sha256(bucket.body(NAME)) == archive.sha256

    def test_an_archive_that_is_no_file(self, bucket: Bucket, run: Run) -> None:
        """``--no-local-copy``: parts come from streams opened at their offsets."""
        streamed = StreamedArchive(run.archive.file.read_bytes(), NAME)
        context = DeliveryContext(run.job, run.checkpoint, run.events.append, run.check_stop)
        upload_to(bucket, bucket, no_local_copy=True).deliver(streamed, context)
        assert sha256(bucket.body(NAME)) == run.archive.sha256

    def test_what_the_object_says_of_itself(self, bucket: Bucket, run: Run) -> None:
        upload = upload_to(bucket, bucket, "{project}/", storage_class="STANDARD_IA", sse="AES256")
        delivery = run.deliver(upload)
        key = f"group/sub/project/{NAME}"
        facts = bucket.head(key)
        assert facts["Metadata"] == {"packmule-job": "7", "packmule-sha256": run.archive.sha256}
        assert (facts["ContentType"], facts["StorageClass"]) == ("application/gzip", "STANDARD_IA")
        assert facts["ServerSideEncryption"] == "AES256"
        assert facts["ETag"] == f'"{delivery.details["etag"]}"'
        assert delivery.destination == f"s3://{bucket.name}/{key}"

    def test_kms(self, bucket: Bucket, run: Run) -> None:
        key_id = "arn:aws:kms:us-east-1:123456789012:key/1234"
        run.deliver(upload_to(bucket, bucket, sse="aws:kms", sse_kms_key_id=key_id))
        assert bucket.head(NAME)["SSEKMSKeyId"] == key_id

    def test_a_damaged_part_is_sent_again(self, bucket: Bucket, proxy: FaultyProxy, run: Run) -> None:
        proxy.planned["UploadPart", 2] = [DAMAGE, DAMAGE]
        run.deliver(upload_to(bucket, proxy))
        assert sha256(bucket.body(NAME)) == run.archive.sha256
        assert [seen.part for seen in proxy.seen].count(2) == 3

    def test_every_part_carries_its_checksums(self, bucket: Bucket, proxy: FaultyProxy, run: Run) -> None:
        run.deliver(upload_to(bucket, proxy))
        parts = [seen for seen in proxy.seen if seen.operation == "UploadPart"]
        assert len(parts) == 3
        assert all({"Content-MD5", "x-amz-checksum-crc32"} <= seen.headers.keys() for seen in parts)
        assert bucket.head(NAME)["ETag"].endswith('-3"')

    def test_a_server_that_knows_no_checksums(
        self,
        bucket: Bucket,
        proxy: FaultyProxy,
        run: Run,
    ) -> None:
        def refuse(seen: Seen) -> str | None:
            return (
                NOT_IMPLEMENTED if any(name.startswith("x-amz-checksum") for name in seen.headers) else None
            )

        proxy.gate = refuse
        run.deliver(upload_to(bucket, proxy))
        assert [seen.fault for seen in proxy.seen][:2] == [NOT_IMPLEMENTED, None]
        assert sha256(bucket.body(NAME)) == run.archive.sha256

    def test_what_was_joined_to_something_else_is_thrown_away(
        self,
        bucket: Bucket,
        proxy: FaultyProxy,
        run: Run,
    ) -> None:
        proxy.planned["CompleteMultipartUpload", 0] = [OTHER_ETAG]
        upload = upload_to(bucket, proxy)
        with pytest.raises(DeliveryInterrupted, match="not what was sent"):
            run.deliver(upload)
        assert bucket.keys() == []
        run.deliver(upload)
        assert sha256(bucket.body(NAME)) == run.archive.sha256

    def test_an_answer_that_got_lost_after_the_parts_were_joined(
        self,
        bucket: Bucket,
        proxy: FaultyProxy,
        run: Run,
    ) -> None:
        proxy.planned["CompleteMultipartUpload", 0] = [CUT_AFTER]
        run.deliver(upload_to(bucket, proxy))
        assert sha256(bucket.body(NAME)) == run.archive.sha256
        assert proxy.count("CompleteMultipartUpload") == 1

    def test_no_upload_stays_open_whose_number_got_lost(
        self,
        bucket: Bucket,
        proxy: FaultyProxy,
        run: Run,
    ) -> None:
        proxy.planned["CreateMultipartUpload", 0] = [CUT_AFTER]
        run.deliver(upload_to(bucket, proxy, "{job}.tgz"))
        assert proxy.count("CreateMultipartUpload") == 2
        assert bucket.uploads() == []

    def test_the_limit_holds(self, bucket: Bucket, tmp_path: Path) -> None:
        archive = FileArchive(random_file(tmp_path / NAME, 9 * MIB))
        start = time.monotonic()
        Run(archive, FileCheckpoint(tmp_path / "c")).deliver(upload_to(bucket, bucket, limit_rate=9 * MIB))
        assert 0.9 < time.monotonic() - start < 3
        assert sha256(bucket.body(NAME)) == archive.sha256


class TestOptions:
    def test_from_the_command_line_to_the_job_and_back(self) -> None:
        words = Words(
            to="s3://bucket/{project}/",
            endpoint_url="http://minio:9000",
            profile="backup",
            region="eu-central-1",
            limit_rate=1000,
            local_copy=False,
            more={"storage_class": "GLACIER", "sse": "aws:kms", "sse_kms_key_id": "k", "parallel": "8"},
        )
        choice = strategies.choose(None, words)
        assert choice.name == "web-upload"
        assert choice.destination == "s3://bucket/{project}/"
        assert json.loads(json.dumps(dict(choice.options))) == {
            "to": "s3://bucket/{project}/",
            "endpoint_url": "http://minio:9000",
            "profile": "backup",
            "region": "eu-central-1",
            "limit_rate": 1000,
            "no_local_copy": True,
            "storage_class": "GLACIER",
            "sse": "aws:kms",
            "sse_kms_key_id": "k",
            "parallel": 8,
        }
        upload = strategies.build(choice.name, choice.options)
        assert isinstance(upload, WebUploadS3)
        assert not upload.wants_file
        assert WebUploadS3("s3://bucket").wants_file

    @pytest.mark.parametrize(
        "options",
        [{"parallel": 0}, {"parallel": 65}, {"sse_kms_key_id": "k"}, {"endpoint_url": "minio:9000"}],
    )
    def test_options_that_make_no_sense(self, options: dict[str, Any]) -> None:
        with pytest.raises(UsageError):
            WebUploadS3("s3://bucket/key", **options)

    def test_parallel_must_be_a_number(self) -> None:
        with pytest.raises(UsageError):
            WebUploadS3.from_words(Words(to="s3://bucket/key", more={"parallel": "many"}))
