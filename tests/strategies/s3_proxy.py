"""A proxy before an S3 server that breaks things: cuts connections, delays, answers 500 and 503 SlowDown,
damages bytes.

What it does to a request is drawn from the seed, the operation, the part and how often that was tried before,
so that a run with several threads is the same every time. It keeps a list of every request.
"""

from __future__ import annotations

import contextlib
import http.client
import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar, Self
from urllib.parse import parse_qs, urlsplit

CUT_BEFORE = "cut before the server sees it"
CUT_MID = "cut in the middle of the body"
CUT_AFTER = "cut after the server did it"
ERROR_500 = "500"
SLOW_DOWN = "503"
DELAY = "delay"
DAMAGE = "damage"
STRANGE = "a web page"
NOT_IMPLEMENTED = "501"
OTHER_ETAG = "digest of other bytes"
ALL_FAULTS = {CUT_BEFORE: 0.06, CUT_MID: 0.08, CUT_AFTER: 0.06, ERROR_500: 0.05, SLOW_DOWN: 0.08, DELAY: 0.07}
"""Together 0.4: two requests in five go wrong."""


@dataclass
class Seen:
    """One request."""

    operation: str
    part: int | None
    fault: str | None = None
    stored: bool = False
    """Whether the server answered it with success."""
    headers: dict[str, str] = field(default_factory=dict)


def operation_of(method: str, path: str) -> tuple[str, int | None]:
    query = parse_qs(urlsplit(path).query, keep_blank_values=True)
    if "partNumber" in query:
        return "UploadPart", int(query["partNumber"][0])
    kind = "upload" if "uploadId" in query else "uploads" if "uploads" in query else "object"
    names = {
        ("POST", "uploads"): "CreateMultipartUpload",
        ("POST", "upload"): "CompleteMultipartUpload",
        ("DELETE", "upload"): "AbortMultipartUpload",
        ("GET", "upload"): "ListParts",
        ("GET", "uploads"): "ListMultipartUploads",
        ("PUT", "object"): "PutObject",
        ("HEAD", "object"): "HeadObject",
        ("DELETE", "object"): "DeleteObject",
    }
    return names.get((method, kind), f"{method} {kind}"), None


class FaultyProxy:
    """``with FaultyProxy(host, port, faults, seed) as proxy: proxy.url``."""

    def __init__(self, host: str, port: int, faults: dict[str, float] | None = None, seed: int = 0) -> None:
        self.upstream = (host, port)
        self.faults = faults or {}
        self.seed = seed
        self.refusals: dict[str, tuple[int, str]] = {}
        """Operation -> status and error code answered every time."""
        self.planned: dict[tuple[str, int], list[str]] = {}
        """(operation, part or 0) -> faults of its first attempts."""
        self.gate: Callable[[Seen], str | None] = lambda _: None
        """Called before a request is passed on; may wait, and may name a fault."""
        self.seen: list[Seen] = []
        self._tried: Counter[tuple[str, int | None]] = Counter()
        self._lock = threading.Lock()
        self._idle = threading.Condition()
        self._busy = 0
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, method: str, path: str, headers: dict[str, str]) -> Seen:
        """Note a request and decide its fault."""
        operation, part = operation_of(method, path)
        with self._lock:
            attempt = self._tried[operation, part]
            self._tried[operation, part] += 1
            seen = Seen(operation, part, self._fault(operation, part, attempt), headers=headers)
            self.seen.append(seen)
        return seen

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """While a request is being served."""
        with self._idle:
            self._busy += 1
        try:
            yield
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    def wait_until_idle(self) -> None:
        """Until every request that came in is dealt with."""
        with self._idle:
            assert self._idle.wait_for(lambda: self._busy == 0, 60)

    def _fault(self, operation: str, part: int | None, attempt: int) -> str | None:
        plan = self.planned.get((operation, part or 0), [])
        if attempt < len(plan):
            return plan[attempt]
        draw = random.Random(f"{self.seed} {operation} {part} {attempt}").random()
        for fault, share in self.faults.items():
            if (draw := draw - share) < 0:
                return fault
        return None

    def count(self, operation: str) -> int:
        return sum(seen.operation == operation for seen in self.seen)

    def stored_parts(self) -> set[int]:
        """Numbers of the parts that the server has."""
        return {seen.part for seen in list(self.seen) if seen.part is not None and seen.stored}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: ClassVar[FaultyProxy]

    def handle_one_request(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle_one_request()

    def _serve(self) -> None:
        with self.owner.busy():
            self._answer()

    def _answer(self) -> None:
        seen = self.owner.take(self.command, self.path, dict(self.headers))
        if refusal := self.owner.refusals.get(seen.operation):
            self._read_body()
            self._error(*refusal)
            return
        seen.fault = self.owner.gate(seen) or seen.fault
        match seen.fault:
            case "500":
                self._error(500, "InternalError", close=True)
            case "503":
                self._read_body()
                self._error(503, "SlowDown")
            case "501":
                self._read_body()
                self._error(501, "NotImplemented")
            case "a web page":
                self._read_body()
                self._reply(200, {}, b"<html><p>Welcome</p></html>")
            case "cut before the server sees it":
                self._cut()
            case "cut in the middle of the body":
                self.rfile.read(int(self.headers.get("Content-Length", 0)) // 2)
                self._cut()
            case _:
                self._pass_on(seen)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815

    def _pass_on(self, seen: Seen) -> None:
        body = self._read_body()
        if seen.fault == DELAY:
            time.sleep(0.05)
        if seen.fault == DAMAGE:
            body = bytes([body[0] ^ 1]) + body[1:]
        connection = http.client.HTTPConnection(*self.owner.upstream, timeout=60)
        try:
            headers = {k: v for k, v in self.headers.items() if k.lower() not in ("expect", "connection")}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        seen.stored = answer.status < 300
        if seen.fault == OTHER_ETAG:
            data = re.sub(rb"[0-9a-f]{32}-", b"0" * 32 + b"-", data)
        if seen.fault == CUT_AFTER:
            self._cut()
        else:
            self._reply(answer.status, dict(answer.getheaders()), data)

    def _read_body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _error(self, status: int, code: str, *, close: bool = False) -> None:
        text = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>as the test asked</Message></Error>'
        self._reply(status, {"Connection": "close"} if close else {}, text.encode())
        self.close_connection = self.close_connection or close

    def _reply(self, status: int, headers: dict[str, str], data: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _cut(self) -> None:
        """Reset the connection, as a firewall or a dying server does."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
