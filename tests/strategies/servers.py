"""Local servers that strategies deliver to: an HTTP server that does as it is told, and a mail receiver."""

from __future__ import annotations

import email
import hashlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message as Mail
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Request:
    """What arrived."""

    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    received: int
    sha256: str
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Answer:
    """What the server does with one request."""

    status: int = 201
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    early: bool = False
    """Answer without reading the body, and close."""
    cut_after: int | None = None
    """Reset the connection after that many bytes of the body."""
    hang: bool = False
    """Read nothing and say nothing until the server ends."""


Reply = Callable[[Request], Answer]


class HttpServer:
    """Keeps what it was sent under the request's path when it answers 2xx."""

    def __init__(self, *, keep_bodies: bool = True) -> None:
        self.requests: list[Request] = []
        self.stored: dict[str, bytes] = {}
        self.answers: deque[Answer] = deque()
        """Done one after the other; then ``reply``."""
        self.reply: Reply = lambda _request: Answer()
        self.cut_bodies: deque[int] = deque()
        """Reset the connections of the next PUTs and POSTs after so many bytes of the body."""
        self.keep_bodies = keep_bodies
        self.connections = 0
        self.ending = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def next_answer(self, request: Request) -> Answer:
        return self.answers.popleft() if self.answers else self.reply(request)

    @contextmanager
    def running(self) -> Iterator[HttpServer]:
        thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        thread.start()
        try:
            yield self
        finally:
            self.ending.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are what these tests are about."""


def _handler(owner: HttpServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            owner.connections += 1
            super().setup()

        def do(self) -> None:
            planned = owner.answers[0] if owner.answers else Answer()
            if planned.hang:
                owner.answers.popleft()
                owner.ending.wait(20)
                self.close_connection = True
                return
            if planned.cut_after is not None:
                owner.answers.popleft()
                self.rfile.read(planned.cut_after)
                self.reset()
                return
            if owner.cut_bodies and self.command in ("PUT", "POST"):
                self.rfile.read(owner.cut_bodies.popleft())
                self.reset()
                return
            request = self.read(early=planned.early)
            if not planned.early and request.received < int(self.headers.get("content-length") or 0):
                self.close_connection = True  # the client went away; servers throw away what they have
                return
            owner.requests.append(request)
            answer = owner.next_answer(request)
            if answer.status // 100 == 2 and request.method in ("PUT", "POST"):
                owner.stored[request.path] = request.body
            self.answer(answer)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do  # noqa: N815 - http.server wants these

        def read(self, *, early: bool) -> Request:
            left, digest, body, count = int(self.headers.get("content-length") or 0), hashlib.sha256(), [], 0
            while not early and left and (block := self.rfile.read(min(left, 1 << 16))):
                left -= len(block)
                count += len(block)
                digest.update(block)
                if owner.keep_bodies:
                    body.append(block)
            headers = {name.lower(): value for name, value in self.headers.items()}
            return Request(self.command, self.path, headers, count, digest.hexdigest(), b"".join(body))

        def answer(self, answer: Answer) -> None:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            if answer.early:
                self.send_header("Connection", "close")
                self.close_connection = True
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        def reset(self) -> None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler


class MailReceiver:
    """Collects mail sent to a local port."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd wants it
        self.mails.append(email.message_from_bytes(envelope.content))
        return "250 OK"

    @contextmanager
    def running(self) -> Iterator[int]:
        """Yields the port."""
        from aiosmtpd.controller import Controller

        controller = Controller(self, hostname="127.0.0.1", port=free_port())
        controller.start()
        try:
            yield controller.port
        finally:
            controller.stop()


def free_port() -> int:
    """A port on which nobody listens at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
