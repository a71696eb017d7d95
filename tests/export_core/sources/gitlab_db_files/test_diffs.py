"""Diffs outside the database: each file is read once."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from export_core.errors import SourceInterrupted
from export_core.sources.gitlab_db import diffs as diffs_module
from export_core.sources.gitlab_db import object_storage
from export_core.sources.gitlab_db.diffs import DiffFiles
from export_core.sources.gitlab_db.object_storage import Objects
from export_core.sources.gitlab_db.settings import Databases, GitlabSettings, ObjectStorage, Storage
from export_core.sources.gitlab_db.values import MissingValue
from tests.export_core.sources.gitlab_db_files.s3 import Store, moto, store  # noqa: F401
from tests.export_core.sources.gitlab_db_files.world import put

CONTENT = random.Random(6).randbytes(40_000)
PLACES = [(start, 1000) for start in range(0, 40_000, 1000)]


def settings(root: Path | None = None, storage: ObjectStorage | None = None) -> GitlabSettings:
    return GitlabSettings(Databases(""), Storage(external_diffs=root and str(root)), storage)


def of_store(store: Store) -> GitlabSettings:  # noqa: F811
    return settings(storage=ObjectStorage(**store.settings))


def read_all(files: DiffFiles, where: int, *ids: int) -> None:
    for number in ids:
        for offset, size in PLACES:
            assert files.read(number, number * 10, where, (offset, size)) == CONTENT[offset : offset + size]
    files.close()


def test_local(tmp_path: Path) -> None:
    for number in (1, 2):
        put(tmp_path / f"merge_request_diffs/mr-{number}/diff-{number}0", CONTENT)
    read_all(DiffFiles(settings(tmp_path)), 1, 1, 2, 1)


class TestRemote:
    """In object storage."""

    def test_one_request_a_file(self, store: Store) -> None:  # noqa: F811
        for number in (1, 2, 3):
            store.put(f"merge_request_diffs/mr-{number}/diff-{number}0", CONTENT)
        read_all(DiffFiles(of_store(store)), 2, 1, 2, 3)
        assert store.requests() == ["GET object"] * 3

    def test_a_huge_one_comes_in_windows(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
        monkeypatch.setattr(diffs_module, "_WINDOW", 9_000)
        store.put("merge_request_diffs/mr-1/diff-10", CONTENT)
        read_all(DiffFiles(of_store(store)), 2, 1)
        assert len(store.requests()) == 5  # 40,000 bytes in windows of 9,000
        files = DiffFiles(of_store(store))
        assert files.read(1, 10, 2, (5, 30_000)) == CONTENT[5:30_005], "a diff larger than a window"

    def test_missing_and_cut(self, store: Store) -> None:  # noqa: F811
        store.put("merge_request_diffs/mr-1/diff-10", b"short")
        files = DiffFiles(of_store(store))
        for number, place in ((1, (0, 6)), (1, (100, 6)), (2, (0, 6))):
            with pytest.raises(MissingValue, match=f"mr-{number}/diff-{number}0"):
                files.read(number, number * 10, 2, place)


@pytest.mark.parametrize("where", [1, 2])
def test_nothing_configured(where: int) -> None:
    with pytest.raises(MissingValue):
        DiffFiles(settings()).read(1, 10, where, (0, 1))


def test_a_local_file_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(MissingValue, match="mr-1/diff-10"):
        DiffFiles(settings(tmp_path)).read(1, 10, 1, (0, 1))


class BreakingServer(ThreadingHTTPServer):
    """Answers every GET with CONTENT from where it is asked, and hangs up after ``most`` bytes."""

    most = 15_000
    asked: list[str]


class _Handler(BaseHTTPRequestHandler):
    server: BreakingServer

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "bytes=0-")
        self.server.asked.append(asked)
        start = int(asked.removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.send_header("ETag", '"same"')
        self.end_headers()
        self.wfile.write(CONTENT[start : start + self.server.most])
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def breaking() -> Iterator[BreakingServer]:
    server = BreakingServer(("127.0.0.1", 0), _Handler)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def objects_of(server: BreakingServer) -> Objects:
    endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    return Objects(ObjectStorage({"uploads": "b"}, endpoint, "us-east-1", None, "id", "secret"))


def test_a_download_goes_on_where_it_broke(breaking: BreakingServer) -> None:
    with objects_of(breaking).open("uploads", "k") as stream:
        assert stream.read() == CONTENT
    assert len(breaking.asked) == 3
    assert breaking.asked[1:] == ["bytes=15000-", "bytes=30000-"]


def test_one_that_never_goes_on_ends(breaking: BreakingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    breaking.most = 0
    monkeypatch.setattr(object_storage, "_WAIT", 0.001)
    with objects_of(breaking).open("uploads", "k") as stream, pytest.raises(SourceInterrupted) as error:
        stream.read()
    assert "s3://b/k" in error.value.message
    assert len(breaking.asked) == 6
