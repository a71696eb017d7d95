"""Uploads to S3 that are killed, stopped or cancelled, and what a later run makes of them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from export_core.errors import Cancelled, Interrupted
from strategies.s3_parts import MIB
from tests.strategies.s3_delivery import FileArchive, FileCheckpoint, Run, random_file
from tests.strategies.s3_proxy import (
    CUT_BEFORE,
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


class TestResume:
    def test_killed_in_the_middle(self, bucket: Bucket, proxy: FaultyProxy, tmp_path: Path) -> None:
        """SIGKILL after some parts: the next run sends exactly the parts that the server does not have."""
        archive = FileArchive(random_file(tmp_path / NAME, 60_000_000))
        run = Run(archive, FileCheckpoint(tmp_path / "checkpoint.json"))
        enough, killed = threading.Event(), threading.Event()

        def hold(seen: Seen) -> str | None:
            if seen.part is None or len(proxy.stored_parts()) < 3 or killed.is_set():
                return None
            enough.set()
            killed.wait(60)
            return CUT_BEFORE

        proxy.gate = hold
        upload = upload_to(bucket, proxy, parallel=2)
        command = [sys.executable, "-m", "tests.strategies.s3_delivery", json.dumps(dict(upload.options))]
        child = subprocess.Popen([*command, str(archive.file), str(run.checkpoint.file)])
        try:
            assert enough.wait(60)
        finally:
            child.kill()
            child.wait()
        killed.set()
        proxy.wait_until_idle()
        before, requests = proxy.stored_parts(), len(proxy.seen)
        assert 3 <= len(before) < 8
        run.deliver(upload)
        again = [seen.part for seen in proxy.seen[requests:] if seen.operation == "UploadPart"]
        assert sorted(again) == sorted(set(range(1, 9)) - before)
        assert proxy.count("CreateMultipartUpload") == 1
        assert sha256(bucket.body(NAME)) == archive.sha256
        assert run.last_progress.done == 60_000_000

    def stop_after(self, proxy: FaultyProxy, run: Run, parts: int, error: Exception) -> None:
        """Let the job be stopped when the server has so many parts."""

        def check() -> None:
            if len(proxy.stored_parts()) >= parts:
                raise error

        run.check_stop = check

    def test_interrupted_stays_open_and_goes_on(self, bucket: Bucket, proxy: FaultyProxy, run: Run) -> None:
        self.stop_after(proxy, run, 1, Interrupted("Ctrl-C"))
        upload = upload_to(bucket, proxy, parallel=1)
        with pytest.raises(Interrupted):
            run.deliver(upload)
        assert len(bucket.uploads()) == 1
        run.check_stop = lambda: None
        run.deliver(upload)
        assert [seen.part for seen in proxy.seen if seen.stored and seen.part] == [1, 2, 3]
        assert sha256(bucket.body(NAME)) == run.archive.sha256

    def test_cancelled_aborts(self, bucket: Bucket, proxy: FaultyProxy, run: Run) -> None:
        self.stop_after(proxy, run, 1, Cancelled("cancelled"))
        upload = upload_to(bucket, proxy, "fixed-key.tgz", parallel=1)
        with pytest.raises(Cancelled):
            run.deliver(upload)
        assert len(bucket.uploads()) == 1
        upload.abandon(run.job, run.checkpoint)
        upload.abandon(run.job, run.checkpoint)
        assert bucket.uploads() == []

    def test_only_the_job_s_own_uploads_are_aborted(
        self,
        bucket: Bucket,
        proxy: FaultyProxy,
        run: Run,
    ) -> None:
        foreign = bucket.client.create_multipart_upload(Bucket=bucket.name, Key="fixed-key.tgz")["UploadId"]
        near = bucket.client.create_multipart_upload(Bucket=bucket.name, Key="7.tgz.other")["UploadId"]
        self.stop_after(proxy, run, 1, Cancelled("cancelled"))
        for key in ("fixed-key.tgz", "{job}.tgz"):
            upload = upload_to(bucket, proxy, key, parallel=1)
            with pytest.raises(Cancelled):
                run.deliver(upload)
            upload.abandon(run.job, run.checkpoint)
        assert set(bucket.uploads()) == {foreign, near}

    def test_another_archive_begins_anew(
        self,
        bucket: Bucket,
        proxy: FaultyProxy,
        run: Run,
        tmp_path: Path,
    ) -> None:
        self.stop_after(proxy, run, 1, Interrupted("Ctrl-C"))
        upload = upload_to(bucket, proxy, "{project}.tgz", parallel=1)
        with pytest.raises(Interrupted):
            run.deliver(upload)
        other = FileArchive(random_file(tmp_path / "other.tar.gz", run.archive.size, seed=2))
        Run(other, run.checkpoint).deliver(upload)
        assert sha256(bucket.body("group/sub/project.tgz")) == other.sha256
        assert bucket.uploads() == []

    def test_a_part_that_differs_is_sent_again(self, bucket: Bucket, proxy: FaultyProxy, run: Run) -> None:
        self.stop_after(proxy, run, 2, Interrupted("Ctrl-C"))
        upload = upload_to(bucket, proxy, parallel=1)
        with pytest.raises(Interrupted):
            run.deliver(upload)
        bucket.client.upload_part(
            Bucket=bucket.name, Key=NAME, UploadId=bucket.uploads()[0], PartNumber=1, Body=b"x" * 8 * MIB
        )
        run.check_stop, requests = (lambda: None), len(proxy.seen)
        run.deliver(upload)
        again = [seen.part for seen in proxy.seen[requests:] if seen.operation == "UploadPart"]
        assert sorted(again) == [1, 3]
        assert sha256(bucket.body(NAME)) == run.archive.sha256

    def test_an_upload_that_is_gone_begins_anew(self, bucket: Bucket, proxy: FaultyProxy, run: Run) -> None:
        self.stop_after(proxy, run, 1, Interrupted("Ctrl-C"))
        upload = upload_to(bucket, proxy, parallel=1)
        with pytest.raises(Interrupted):
            run.deliver(upload)
        bucket.client.abort_multipart_upload(Bucket=bucket.name, Key=NAME, UploadId=bucket.uploads()[0])
        run.check_stop = lambda: None
        run.deliver(upload)
        assert sha256(bucket.body(NAME)) == run.archive.sha256

    def test_killed_after_the_last_byte(self, bucket: Bucket, proxy: FaultyProxy, run: Run) -> None:
        upload = upload_to(bucket, proxy)
        run.deliver(upload)
        requests = len(proxy.seen)
        run.deliver(upload)
        assert {seen.operation for seen in proxy.seen[requests:]} <= {
            "ListParts",
            "HeadObject",
            "ListMultipartUploads",
        }

    def test_still_there(self, bucket: Bucket, run: Run) -> None:
        upload = upload_to(bucket, bucket)
        job = run.finished(run.deliver(upload))
        assert upload.still_there(job)
        bucket.client.put_object(Bucket=bucket.name, Key=NAME, Body=b"something else")
        assert not upload.still_there(job)
        bucket.client.delete_object(Bucket=bucket.name, Key=NAME)
        assert not upload.still_there(job)
