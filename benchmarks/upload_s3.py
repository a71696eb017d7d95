"""Uploads one archive to an S3 server with packmule and with another tool, in turn, and compares them.

    python -m benchmarks.upload_s3 [--size 1000000000] [--rounds 3] [--rival aws|rclone|boto3]

The server is moto's, in a process of its own, unless --endpoint-url names another one (with --bucket, and
credentials from the environment). Prints one JSON document: seconds (median), MB/s and peak RSS of each, and
the ratio of the throughputs. Each upload is a process of its own, and its time is the whole command's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_KEY = "benchmark.tar.gz"
_PACKMULE = """
import hashlib, pathlib, sys
from export_core.events import ignore
from export_core.job import Job, JobRequest, JobStatus
from export_core.delivery import DeliveryContext
from strategies.web_upload_s3 import WebUploadS3
file, sha256, bucket, key, endpoint = sys.argv[1:]
class Archive:
    path = None
    file_name = key
    def __init__(self):
        self.size, self.sha256 = pathlib.Path(file).stat().st_size, sha256
    def open(self, offset=0):
        stream = open(file, "rb"); stream.seek(offset); return stream
class Nothing:
    def load(self): return {}
    def save(self, value): pass
job = Job(1, JobRequest("a/b", "s"), JobStatus.STARTED, None, "2026-01-01T00:00:00.000Z")
upload = WebUploadS3(f"s3://{bucket}/{key}", endpoint_url=endpoint)
upload.deliver(Archive(), DeliveryContext(job, Nothing(), ignore, lambda: None))
"""
_BOTO3 = """
import sys, boto3
file, sha256, bucket, key, endpoint = sys.argv[1:]
boto3.client("s3", endpoint_url=endpoint).upload_file(file, bucket, key)
"""


def command(tool: str, file: Path, bucket: str, endpoint: str) -> list[str]:
    """The command line that uploads the file with a tool."""
    words = [str(file), "0" * 64, bucket, _KEY, endpoint]
    match tool:
        case "packmule":
            return [sys.executable, "-c", _PACKMULE, *words]
        case "boto3":
            return [sys.executable, "-c", _BOTO3, *words]
        case "aws":
            there = f"s3://{bucket}/{_KEY}"
            return ["aws", "--endpoint-url", endpoint, "s3", "cp", "--quiet", str(file), there]
        case _:
            remote = f":s3,provider=Other,env_auth=true,endpoint='{endpoint}':{bucket}/{_KEY}"
            return ["rclone", "copyto", "--s3-no-check-bucket", str(file), remote]


def best_rival() -> str:
    """A tool that is installed."""
    return next((tool for tool in ("aws", "rclone") if shutil.which(tool)), "boto3")


def measured(words: list[str]) -> tuple[float, int]:
    """Seconds and peak RSS in bytes of a command, its own children not included."""
    start = time.perf_counter()
    process = subprocess.Popen(words)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{words[0]} failed with {process.returncode}")
    return time.perf_counter() - start, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@contextlib.contextmanager
def moto_server() -> Iterator[str]:
    """moto's S3 server in a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def fill(path: Path, size: int) -> None:
    """Bytes as an archive has them: none that compress."""
    with path.open("wb") as stream:
        for start in range(0, size, 1 << 20):
            stream.write(os.urandom(min(1 << 20, size - start)))


def compare(file: Path, bucket: str, endpoint: str, rival: str, rounds: int) -> dict[str, Any]:
    """Both tools in turn, so that a machine that grows slower does so for both."""
    results: Mapping[str, list[tuple[float, int]]] = {"packmule": [], rival: []}
    import boto3

    client = boto3.client("s3", endpoint_url=endpoint)
    for number in range(rounds):
        for tool in sorted(results, reverse=number % 2 == 1):
            results[tool].append(measured(command(tool, file, bucket, endpoint)))
            if client.head_object(Bucket=bucket, Key=_KEY)["ContentLength"] != file.stat().st_size:
                raise SystemExit(f"{tool} left something else")
            client.delete_object(Bucket=bucket, Key=_KEY)
    size = file.stat().st_size
    report: dict[str, Any] = {"bytes": size, "rounds": rounds, "rival": rival}
    for tool, runs in results.items():
        seconds = statistics.median(run[0] for run in runs)
        report[tool] = {
            "seconds": round(seconds, 2),
            "all": [round(run[0], 2) for run in runs],
            "mb_per_second": round(size / seconds / 1e6, 1),
            "peak_rss_mb": round(max(run[1] for run in runs) / 1e6, 1),
        }
    report["throughput_ratio"] = round(
        report["packmule"]["mb_per_second"] / report[rival]["mb_per_second"], 2
    )
    return report


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", type=int, default=1_000_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rival", choices=["aws", "rclone", "boto3"], default=best_rival())
    parser.add_argument("--endpoint-url")
    parser.add_argument("--bucket", default="packmule-benchmark")
    parser.add_argument("--max-rss-mb", type=float, help="fail above this peak RSS")
    words = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        fill(folder / _KEY, words.size)
        endpoint = words.endpoint_url or stack.enter_context(_own_server(words.bucket))
        report = compare(folder / _KEY, words.bucket, endpoint, words.rival, words.rounds)
    print(json.dumps(report, indent=2))
    if words.max_rss_mb and report["packmule"]["peak_rss_mb"] > words.max_rss_mb:
        raise SystemExit("packmule used more memory than that")


@contextlib.contextmanager
def _own_server(bucket: str) -> Iterator[str]:
    """A server with an empty bucket, and credentials that it takes."""
    import boto3

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        os.environ[name] = "benchmark"
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    with moto_server() as endpoint:
        boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket=bucket)
        yield endpoint


if __name__ == "__main__":
    main()
