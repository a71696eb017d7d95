"""Destinations that cannot be used: what is said, and when."""

from __future__ import annotations

from pathlib import Path

import pytest
import stamina

from export_core.errors import DeliveryInterrupted, DestinationUnusable
from strategies.s3_parts import MIB
from strategies.web_upload_s3 import WebUploadS3
from tests.strategies.s3_delivery import FileArchive, FileCheckpoint, Run, make_job, random_file
from tests.strategies.s3_proxy import (
    STRANGE,
    FaultyProxy,
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


class TestRefusal:
    def refused(self, upload: WebUploadS3, size: int | None = None) -> DestinationUnusable:
        with stamina.set_testing(True, attempts=2), pytest.raises(DestinationUnusable) as refused:
            upload.check(make_job(), size)
        assert refused.value.hint
        assert refused.value.exit_code == 6
        return refused.value

    def test_no_such_bucket(self, bucket: Bucket) -> None:
        error = self.refused(WebUploadS3("s3://no-such-bucket/x", endpoint_url=bucket.url))
        assert "no-such-bucket" in error.message
        assert "no such bucket" in error.message

    def test_access_denied(self, bucket: Bucket, proxy: FaultyProxy) -> None:
        proxy.refusals["CreateMultipartUpload"] = (403, "AccessDenied")
        error = self.refused(upload_to(bucket, proxy))
        assert "access denied" in error.message
        assert "s3:PutObject" in str(error.hint)

    def test_wrong_key(self, bucket: Bucket, proxy: FaultyProxy) -> None:
        proxy.refusals["CreateMultipartUpload"] = (403, "InvalidAccessKeyId")
        error = self.refused(upload_to(bucket, proxy))
        assert "credentials were refused" in error.message
        assert "AWS_PROFILE" in str(error.hint)

    def test_nobody_listens_at_the_endpoint(self) -> None:
        error = self.refused(WebUploadS3("s3://bucket/x", endpoint_url="http://127.0.0.1:1"))
        assert isinstance(error, DeliveryInterrupted)
        assert "127.0.0.1:1" in error.message

    def test_something_else_answers(self, bucket: Bucket, proxy: FaultyProxy) -> None:
        proxy.planned["CreateMultipartUpload", 0] = [STRANGE] * 9
        assert "no S3 server" in self.refused(upload_to(bucket, proxy)).message

    def test_no_credentials(self, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name)
        assert "credentials" in self.refused(upload_to(bucket, bucket)).message

    def test_a_profile_that_does_not_exist(self, bucket: Bucket) -> None:
        assert "nobody" in self.refused(upload_to(bucket, bucket, profile="nobody")).message

    def test_a_profile_as_the_aws_tools_take_it(self, bucket: Bucket, tmp_path: Path) -> None:
        (tmp_path / "aws-credentials").write_text(
            "[backup]\naws_access_key_id = a\naws_secret_access_key = b\n"
        )
        upload_to(bucket, bucket, profile="backup").check(make_job(), None)

    def test_the_environment_s_endpoint(self, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", bucket.url)
        WebUploadS3(f"s3://{bucket.name}/x").check(make_job(), None)

    def test_more_than_five_tebibytes(self, bucket: Bucket) -> None:
        upload = upload_to(bucket, bucket)
        upload.check(make_job(), 5 * 1024**4)
        assert "5 TiB" in self.refused(upload, 5 * 1024**4 + 1).message

    def test_refused_in_the_middle(self, bucket: Bucket, proxy: FaultyProxy, run: Run) -> None:
        proxy.refusals["UploadPart"] = (403, "AccessDenied")
        with pytest.raises(DestinationUnusable) as refused:
            run.deliver(upload_to(bucket, proxy))
        assert not isinstance(refused.value, DeliveryInterrupted)
        assert proxy.count("UploadPart") <= 3

    def test_slow_down_for_ever(self, bucket: Bucket, proxy: FaultyProxy, run: Run) -> None:
        proxy.refusals["UploadPart"] = (503, "SlowDown")
        with pytest.raises(DeliveryInterrupted) as interrupted:
            run.deliver(upload_to(bucket, proxy))
        assert "SlowDown" in interrupted.value.message
        assert "resume" in str(interrupted.value.hint)
        assert len(bucket.uploads()) == 1

    def test_an_archive_that_shrinks_is_not_blamed_on_the_network(
        self,
        bucket: Bucket,
        proxy: FaultyProxy,
        tmp_path: Path,
    ) -> None:
        archive = FileArchive(random_file(tmp_path / NAME, 9 * MIB))
        proxy.gate = lambda seen: archive.file.write_bytes(b"") and None
        run = Run(archive, FileCheckpoint(tmp_path / "checkpoint.json"))
        with pytest.raises(Exception, match="ended too early"):
            run.deliver(upload_to(bucket, proxy))
