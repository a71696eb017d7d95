"""Sends an archive in one HTTP request: exact length, constant memory, and no waiting without end."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from export_core.delivery import Archive, DeliveryContext, iter_blocks
from export_core.errors import DeliveryInterrupted, DestinationUnusable, ExportFailed, UsageError
from strategies.http_answer import Answer, judge, redirect, secrets_of
from strategies.masking import mask_url, scrub
from strategies.metering import Meter
from strategies.patience import Patience
from strategies.rate_limit import RateLimit

if TYPE_CHECKING:
    import httpx

_BLOCK = 256 << 10
"""Bytes handed to the socket at once; httpx copies what a full socket leaves over, so more is slower."""
_MOST_REDIRECTS = 5
_ANSWER_READ = 4096
"""Bytes of a server's answer that are read at all."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where and how to send. ``url`` is without user information, which is in ``login``."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    login: tuple[str, str] | None = field(default=None, repr=False)
    connect_timeout: float = 15.0
    """Seconds until a connection stands."""
    timeout: float = 300.0
    """Seconds without any progress, in sending or in waiting for the answer."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What may not be seen of it."""
        return (*secrets_of(self.url, self.headers), *(self.login or ()))


class Sender:
    """Sends one archive, as often as it must."""

    def __init__(self, target: Target, archive: Archive, context: DeliveryContext, limit: RateLimit) -> None:
        self._target = target
        self._archive = archive
        self._check_stop = context.check_stop
        self._limit = limit
        self._meter = Meter(context.job.id, archive.size, context.listener)
        self._sent = 0

    def send(self, patience: Patience) -> Answer:
        """One attempt, redirects within the same server included. Raises what ``judge`` raises."""
        with _client(self._target) as client:
            url = self._target.url
            for _ in range(_MOST_REDIRECTS):
                answer = self._request(client, url)
                onward = redirect(answer, url)
                if onward is None:
                    judge(answer, url, self._target.secrets, patience)
                    return self._whole(answer)
                url = onward
        raise DestinationUnusable(
            f"{mask_url(url)} redirects more than {_MOST_REDIRECTS} times",
            hint="look at the server or its URL",
        )

    def _request(self, client: httpx.Client, url: str) -> Answer:
        if self._sent:
            self._meter.rewind(self._sent)
            self._sent = 0
        headers = {**self._target.headers, "Content-Length": str(self._archive.size)}
        with (
            _transport_errors(self._target),
            client.stream(self._target.method, url, headers=headers, content=self._blocks()) as response,
        ):
            return Answer(response.status_code, dict(response.headers), _beginning(response))

    def _blocks(self) -> Iterator[bytes]:
        try:
            with self._archive.open(0) as stream:
                for block in iter_blocks(stream, _BLOCK):
                    self._check_stop()
                    self._limit.take(len(block), self._check_stop)
                    yield block
                    self._sent += len(block)
                    self._meter.add(len(block))
        except OSError as exc:
            raise ExportFailed(
                f"the archive could not be read: {exc.strerror or exc}", hint="run: packmule resume"
            ) from exc

    def _whole(self, answer: Answer) -> Answer:
        # httpx hands over an answer also when the server closed before it had everything.
        if self._sent != self._archive.size:
            raise DeliveryInterrupted(
                f"{mask_url(self._target.url)} answered {answer.status} after {self._sent:,} of "
                f"{self._archive.size:,} bytes",
                hint="when the server is well again: packmule resume",
            )
        return answer


def require_httpx() -> None:
    """Raise UsageError when the extra is not installed."""
    try:
        import httpx  # noqa: F401
    except ImportError as exc:
        raise UsageError(
            "uploads to HTTP need httpx, which is not installed", hint="pip install 'packmule[http]'"
        ) from exc


def _client(target: Target) -> httpx.Client:
    import httpx

    for name in ("httpx", "httpcore"):  # these would log whole URLs, signatures included
        logging.getLogger(name).setLevel(logging.WARNING)
    waits = httpx.Timeout(target.timeout, connect=target.connect_timeout)
    return httpx.Client(timeout=waits, auth=target.login, follow_redirects=False, verify=_trusted())


@cache
def _trusted() -> ssl.SSLContext:
    """The certificates that are trusted; loading them takes longer than many a request."""
    import httpx

    return httpx.create_ssl_context()


def _beginning(response: httpx.Response) -> str:
    """The first part of the body, if it can be had; the status counts without it."""
    import httpx

    if response.is_success:
        return ""
    read = b""
    try:
        for block in response.iter_raw(1024):
            read += block
            if len(read) >= _ANSWER_READ:
                break
    except httpx.HTTPError:
        pass
    return read[:_ANSWER_READ].decode("utf-8", "replace")


class _transport_errors:  # noqa: N801 - used as a with statement
    """Turns httpx's errors into packmule's: most pass, a certificate that is not trusted does not."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: Any, exc: BaseException | None, _trace: Any) -> None:
        import httpx

        if not isinstance(exc, httpx.HTTPError | httpx.InvalidURL):
            return
        what = f"uploading to {mask_url(self._target.url)} failed: {self._why(exc)}"
        if isinstance(exc, httpx.TransportError) and not _is_lasting(exc):
            raise DeliveryInterrupted(
                what, hint="when the server can be reached again: packmule resume"
            ) from exc
        raise DestinationUnusable(what, hint="look at the URL and the server's certificate") from None

    def _why(self, exc: BaseException) -> str:
        import httpx

        if isinstance(exc, httpx.ConnectTimeout):
            return f"no connection within {self._target.connect_timeout:g} s"
        if isinstance(exc, httpx.TimeoutException):
            return f"no progress for {self._target.timeout:g} s"
        return scrub(str(exc) or type(exc).__name__, self._target.secrets)


def _is_lasting(exc: BaseException) -> bool:
    import httpx

    causes, seen = exc, []
    while causes is not None and causes not in seen:
        seen.append(causes)
        causes = causes.__cause__ or causes.__context__  # type: ignore[assignment]
    untrusted = any(isinstance(cause, ssl.SSLCertVerificationError) for cause in seen)
    return untrusted or isinstance(exc, httpx.UnsupportedProtocol | httpx.LocalProtocolError)
