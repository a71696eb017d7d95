"""web-upload to a local HTTP server that checks what arrives, fails, hangs, redirects and refuses."""

from __future__ import annotations

import base64
import logging
import os
import socket
import ssl
import subprocess
import threading
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import stamina

from export_core.delivery import Strategy
from export_core.errors import Cancelled, DeliveryInterrupted, DestinationUnusable, UsageError
from strategies.surroundings import Surroundings
from strategies.web_upload_http import WebUploadHttp, parse_header
from strategies.words import Words
from tests.strategies.contract import (
    Events,
    FileArchive,
    MemoryCheckpoint,
    StrategyContract,
    StreamedArchive,
    context,
    make_job,
    raise_at,
)
from tests.strategies.servers import Answer, HttpServer, Request, free_port

DATA = os.urandom(1 << 20) * 3
QUERY = "X-Amz-Signature=planted%2Bsignature%3D&expires=99999999"
PATH = f"/dir/project.tar.gz?{QUERY}"


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer().running() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=4):
        yield


@pytest.fixture
def archive(tmp_path: Path) -> FileArchive:
    (tmp_path / "archive").write_bytes(DATA)
    return FileArchive(tmp_path / "archive", DATA)


def to(server: HttpServer, **options: Any) -> WebUploadHttp:
    url = f"http://planted-user:planted-password@127.0.0.1:{server.port}{PATH}"
    return WebUploadHttp(url, **{"timeout": 2.0, "connect_timeout": 2.0, **options})


@dataclass
class HttpCase:
    server: HttpServer
    file: FileArchive
    surroundings: Surroundings = field(default_factory=Surroundings)
    secrets: tuple[str, ...] = ("planted", "99999999")

    def strategy(self) -> Strategy:
        return to(self.server, headers={"X-Key": "planted-key"})

    def archive(self) -> FileArchive:
        return self.file

    def unusable(self) -> Strategy:
        return replace(
            to(self.server), to=f"http://planted-user:planted-password@127.0.0.1:{free_port()}{PATH}"
        )

    def fail_once(self) -> None:
        self.server.answers += [Answer(500), Answer(cut_after=1 << 20), Answer(429)]

    def recover(self) -> None:
        """By itself."""

    def fail_for_good(self) -> None:
        self.server.stored.clear()
        self.server.reply = lambda request: Answer(403, body=f"no: {request.path} {request.headers}".encode())

    def delivered(self) -> bytes | None:
        return self.server.stored.get(PATH)

    def leftovers(self) -> list[str]:
        return [path for path in self.server.stored if path != PATH]


@pytest.fixture
def case(server: HttpServer, archive: FileArchive) -> HttpCase:
    return HttpCase(server, archive)


class TestHttp(StrategyContract):
    pass


def test_method_headers_length_and_digest(server: HttpServer, archive: FileArchive) -> None:
    to(server, headers={"x-ms-blob-type": "BlockBlob"}).deliver(archive, context())
    (request,) = server.requests
    assert request.method == "PUT"
    assert request.path == PATH
    assert request.headers["content-type"] == "application/gzip"
    assert request.headers["content-length"] == str(len(DATA))
    assert "transfer-encoding" not in request.headers
    assert request.headers["x-ms-blob-type"] == "BlockBlob"
    assert (
        request.headers["authorization"]
        == "Basic " + base64.b64encode(b"planted-user:planted-password").decode()
    )
    assert request.sha256 == archive.sha256


def test_post_own_content_type_and_own_authorization(server: HttpServer, archive: FileArchive) -> None:
    headers = {"content-type": "application/x-gzip", "Authorization": "Bearer planted"}
    to(server, method="POST", headers=headers).deliver(archive, context())
    (request,) = server.requests
    assert request.method == "POST"
    assert request.headers["content-type"] == "application/x-gzip"
    assert request.headers["authorization"] == "Bearer planted"


def test_a_signed_url_arrives_byte_for_byte(server: HttpServer, archive: FileArchive) -> None:
    path = "/a%20b/%C3%BC+c~(1)/x.tar.gz?sig=a%2Bb%2F%3D&c=d+e&f=%7B'%7D&empty=&g"
    WebUploadHttp(f"{server.url}{path}").deliver(archive, context())
    assert server.requests[0].path == path


def test_an_archive_without_a_file_is_streamed(server: HttpServer) -> None:
    strategy = to(server, local_copy=False)
    assert not strategy.wants_file
    strategy.deliver(StreamedArchive(DATA), context())
    assert server.stored[PATH] == DATA


def test_500_twice_and_then_201(server: HttpServer, archive: FileArchive) -> None:
    server.answers += [Answer(500), Answer(500), Answer(201, {"ETag": '"tag"'})]
    events = Events()
    delivery = to(server).deliver(archive, context(listener=events))
    assert [request.sha256 for request in server.requests] == [archive.sha256] * 3
    assert delivery.details == {"status": 201, "etag": '"tag"'}
    assert delivery.local_path is None
    assert events.moved[-1].done == len(DATA)


@pytest.mark.parametrize("status", [408, 429, 500, 503, 599])
def test_what_never_ends_is_given_up_and_can_be_resumed(
    server: HttpServer, archive: FileArchive, status: int
) -> None:
    server.reply = lambda _request: Answer(status, body=b"overloaded")
    with pytest.raises(DeliveryInterrupted, match=f"{status}.*overloaded") as error:
        to(server).deliver(archive, context())
    assert "resume" in str(error.value.hint)
    assert len(server.requests) == 4


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_success(server: HttpServer, archive: FileArchive, status: int) -> None:
    server.reply = lambda _request: Answer(status)
    assert to(server).deliver(archive, context()).details["status"] == status


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 411, 413, 418, 304])
def test_a_refusal_shows_the_servers_answer_and_is_not_tried_again(
    server: HttpServer, archive: FileArchive, status: int
) -> None:
    server.reply = lambda _request: Answer(
        status, body=b"" if status == 304 else b"<Code>why\x1b[31m not</Code>"
    )
    with pytest.raises(DestinationUnusable) as error:
        to(server).deliver(archive, context())
    assert not error.value.transient
    assert f"http://127.0.0.1:{server.port}/dir/project.tar.gz?*** answered {status}" in error.value.message
    if status != 304:
        assert "<Code>why [31m not</Code>" in error.value.message
    assert error.value.hint
    assert len(server.requests) == 1


def test_a_refusal_while_the_body_is_still_being_sent_is_read(server: HttpServer, tmp_path: Path) -> None:
    """The server answers after the headers and closes, as S3 and many proxies do."""
    big = FileArchive(tmp_path / "big", bytes(32 << 20))
    big.file.write_bytes(big.data)
    server.answers.append(Answer(413, body=b"too big for me", early=True))
    with pytest.raises(DestinationUnusable, match=r"413.*too big for me"):
        to(server).deliver(big, context())


def test_success_that_is_claimed_before_all_was_sent_is_no_success(
    server: HttpServer, tmp_path: Path
) -> None:
    big = FileArchive(tmp_path / "big", bytes(32 << 20))
    big.file.write_bytes(big.data)
    server.answers += [Answer(200, early=True), Answer(200)]
    to(server).deliver(big, context())
    assert server.requests[-1].sha256 == big.sha256


def test_a_server_that_hangs_is_left_and_tried_again(server: HttpServer, archive: FileArchive) -> None:
    server.answers += [Answer(hang=True)]
    to(server, timeout=0.3).deliver(archive, context())
    assert server.stored[PATH] == DATA


def test_a_server_that_always_hangs_is_named(server: HttpServer, archive: FileArchive) -> None:
    server.answers += [Answer(hang=True)] * 4
    with pytest.raises(DeliveryInterrupted, match=r"no progress for 0\.2 s"):
        to(server, timeout=0.2).deliver(archive, context())


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_within_the_server_is_followed_with_the_whole_body(
    server: HttpServer, archive: FileArchive, status: int
) -> None:
    server.answers += [Answer(status, {"Location": "/elsewhere?x=1"})]
    to(server).deliver(archive, context())
    assert [request.path for request in server.requests] == [PATH, "/elsewhere?x=1"]
    assert server.stored["/elsewhere?x=1"] == DATA
    assert server.requests[1].headers["authorization"] == server.requests[0].headers["authorization"]


@pytest.mark.parametrize(
    "there", ["http://127.0.0.1:{port}/x", "http://localhost:{own}/x", "https://127.0.0.1:{own}/x"]
)
def test_a_redirect_to_another_server_is_refused_and_nothing_is_sent_there(
    server: HttpServer, archive: FileArchive, there: str
) -> None:
    with HttpServer().running() as other:
        location = there.format(port=other.port, own=server.port) + "?planted=1"
        server.answers += [Answer(307, {"Location": location})]
        with pytest.raises(DestinationUnusable, match="another server") as error:
            to(server).deliver(archive, context())
        assert other.connections == 0
    assert len(server.requests) == 1
    assert "planted" not in error.value.message


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_that_would_become_a_get_is_refused(
    server: HttpServer, archive: FileArchive, status: int
) -> None:
    server.answers += [Answer(status, {"Location": "/elsewhere"})]
    with pytest.raises(DestinationUnusable, match="not how an upload is redirected"):
        to(server).deliver(archive, context())
    assert len(server.requests) == 1


def test_redirects_in_a_circle_end(server: HttpServer, archive: FileArchive) -> None:
    server.reply = lambda _request: Answer(307, {"Location": PATH})
    with pytest.raises(DestinationUnusable, match="redirects more than"):
        to(server).deliver(archive, context())


def test_retry_after_is_obeyed(server: HttpServer, archive: FileArchive) -> None:
    server.answers += [Answer(503, {"Retry-After": "1"})]
    times: list[float] = []

    def note(_request: Request) -> Answer:
        times.append(time.monotonic())
        return Answer()

    server.reply = note
    began = time.monotonic()
    to(server).deliver(archive, context())
    assert times[0] - began >= 1.0


def test_cancelling_while_a_server_is_waited_for_does_not_wait(
    server: HttpServer, archive: FileArchive
) -> None:
    server.answers += [Answer(503, {"Retry-After": "3000"})]
    looks = 1 + 3 * 4 + 1  # before the attempt, at each block of 256 KiB, before waiting; then while waiting
    with pytest.raises(Cancelled):
        to(server).deliver(archive, context(check_stop=raise_at(looks + 1, Cancelled("cancelled"))))


def test_a_wish_for_more_than_an_hour_ends_the_delivery(server: HttpServer, archive: FileArchive) -> None:
    server.answers += [Answer(503, {"Retry-After": "86400"})]
    with pytest.raises(DestinationUnusable, match="86400 s"):
        to(server).deliver(archive, context())
    assert len(server.requests) == 1


def test_a_delivery_that_was_done_before_the_kill_is_not_done_twice(
    server: HttpServer, archive: FileArchive
) -> None:
    checkpoint = MemoryCheckpoint()
    first = to(server, method="POST").deliver(archive, context(checkpoint))
    second = to(server, method="POST").deliver(archive, context(checkpoint))
    assert len(server.requests) == 1
    assert first == second


def test_checking_makes_no_request(server: HttpServer) -> None:
    to(server).check(make_job(), 1)
    assert server.requests == []


@pytest.mark.parametrize(
    "url", ["ftp://host/x", "https://", "http:///x", "https://host:99999/x", "https://ho st/x", ""]
)
def test_what_is_no_http_url_is_wrong_usage(url: str) -> None:
    with pytest.raises(UsageError, match="not an http or https URL"):
        WebUploadHttp.from_words(Words(to=url))


def test_an_unknown_host_is_refused_up_front(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_args: Any, **_words: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "create_connection", unknown)
    with pytest.raises(DestinationUnusable, match=r"host nowhere\.invalid .* is not known"):
        WebUploadHttp("https://nowhere.invalid/x").check(make_job(), 1)


def test_behind_a_proxy_the_proxy_is_what_must_be_reachable(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    WebUploadHttp("https://nowhere.invalid/x").check(make_job(), 1)
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(DestinationUnusable, match="does not accept connections"):
        WebUploadHttp("https://nowhere.invalid/x").check(make_job(), 1)


def test_more_than_a_signed_url_of_amazon_takes_is_refused_up_front() -> None:
    strategy = WebUploadHttp("https://bucket.s3.amazonaws.com/key?X-Amz-Signature=planted")
    with pytest.raises(DestinationUnusable, match="5 GiB") as error:
        strategy.check(make_job(), (5 << 30) + 1)
    assert "s3://" in str(error.value.hint)


@pytest.mark.parametrize(
    "header", ["planted", "Na me: planted", "Name: plan\r\nted: x", ": planted", "Näme: planted"]
)
def test_a_header_that_is_none_is_refused_without_showing_its_value(header: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_header(header)
    assert "plan\r" not in error.value.message


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "Host"])
def test_a_header_that_packmule_sets_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="set by packmule itself"):
        parse_header(f"{name}: 5")


def test_headers_and_method_from_the_command_line() -> None:
    chosen = WebUploadHttp.from_words(
        Words(to="https://host/x", method="post", headers=("X-Empty:", "a:b : c "))
    )
    assert chosen.method == "POST"
    assert chosen.headers == {"X-Empty": "", "a": "b : c"}
    with pytest.raises(UsageError, match="--method GET"):
        WebUploadHttp.from_words(Words(to="https://host/x", method="GET"))


def test_a_certificate_that_is_not_trusted_is_refused_at_once(tmp_path: Path, archive: FileArchive) -> None:
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=localhost",
    ]
    subprocess.run(
        [*made, "-keyout", tmp_path / "key", "-out", tmp_path / "cert"], check=True, capture_output=True
    )
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    accepted = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                accepted.append(connection)
                try:
                    secure.wrap_socket(connection, server_side=True).close()
                except OSError:
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/x"
        with pytest.raises(DestinationUnusable, match="certificate verify failed") as error:
            WebUploadHttp(url).deliver(archive, context())
        listener.shutdown(socket.SHUT_RDWR)
    assert not error.value.transient
    assert len(accepted) == 1


def test_the_rate_is_kept(server: HttpServer, archive: FileArchive) -> None:
    began = time.monotonic()
    to(server, limit_rate=6 << 20).deliver(archive, context())
    assert 0.4 < time.monotonic() - began < 1.5  # 3 MiB at 6 MiB/s


def test_memory_is_constant(tmp_path: Path) -> None:
    """256 MiB through at most a few MiB of Python's memory."""
    file = tmp_path / "big"
    with file.open("wb") as out:
        out.truncate(256 << 20)

    class Big(FileArchive):
        size = 256 << 20  # type: ignore[assignment]
        sha256 = "unknown"  # type: ignore[assignment]

    with HttpServer(keep_bodies=False).running() as server:
        tracemalloc.start()
        try:
            to(server, timeout=30.0).deliver(Big(file, b""), context())
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert server.requests[0].received == 256 << 20
    assert peak < 16 << 20


def test_logs_hold_no_secret(
    server: HttpServer, archive: FileArchive, caplog: pytest.LogCaptureFixture
) -> None:
    """httpx itself logs every URL it asks for."""
    caplog.set_level(logging.DEBUG)
    server.answers.append(Answer(500, body=QUERY.encode()))
    to(server, headers={"X-Key": "planted-key"}).deliver(archive, context())
    said = " ".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    assert "stamina" in said
    assert "planted" not in said
