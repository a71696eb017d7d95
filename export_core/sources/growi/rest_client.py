"""GROWI's REST API v3 over HTTP: the token, retries, and answers as errors of ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import partial
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from export_core.errors import SourceInterrupted, SourceUnavailable, UsageError
from export_core.sources.growi.records import StoredFile
from export_core.sources.growi.streams import as_file

if TYPE_CHECKING:
    from httpx import Client, Response

_ATTEMPTS = 5
_LONGEST_WAIT_S = 120.0
_TIMEOUT_S = 30.0
_TEMPORARY = frozenset({408, 429, 500, 502, 503, 504})
_PIECE = 1 << 18
_IN_MEMORY = 16 << 20

Params = Mapping[str, str | int]


class _TryLater(SourceInterrupted):
    """An answer after which the same request may succeed; ``wait``: what the server asks for, in seconds."""

    wait: float | None = None


class RestClient:
    """Calls of one wiki. The token goes into a header, never into a URL, a message or a log.

    Threads may share one. Raises SourceUnavailable when the wiki refuses, SourceInterrupted when it keeps
    failing after some attempts.
    """

    def __init__(self, base: str, token: str | None, *, timeout: float = _TIMEOUT_S) -> None:
        try:
            import httpx
        except ModuleNotFoundError as exc:
            hint = "pip install 'packmule[growi]'"
            raise UsageError("reading a wiki over HTTP needs the Python package httpx", hint=hint) from exc
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.base = base
        self._http: Client = httpx.Client(base_url=base, headers=headers, timeout=timeout)

    def get(self, call: str, params: Params) -> Any:
        """The JSON of a call below ``/_api/v3``; None when it is not there or not for us (403, 404)."""
        response = self._attempt(f"/_api/v3{call}", params)
        if response.status_code in {403, 404}:
            return None
        self._refuse(response, call)
        try:
            return response.json()
        except ValueError as exc:
            raise SourceUnavailable(
                f"{self.base} answers {call} with something that is not JSON",
                hint="is this a GROWI wiki's address?",
            ) from exc

    def download(self, path: str, *, small: bool) -> StoredFile | None:
        """A file of the site; None when it is not there. A small one is read at once, another when opened."""
        response = self._stream(path)
        if response is None:
            return None
        with closing(response):
            if small or "content-length" not in response.headers or "content-encoding" in response.headers:
                return _spooled(_pieces(response, path))
            return StoredFile(int(response.headers["content-length"]), partial(self._open, path))

    def _open(self, path: str) -> BinaryIO:
        response = self._stream(path)
        if response is None:
            raise SourceUnavailable(
                f"{self.base}{path} is no longer there", hint="packmule resume --restart lists the wiki anew"
            )
        return as_file(_pieces(response, path), response.close)

    def _stream(self, path: str) -> Response | None:
        """The answer to a download, its body not yet read; None when it is not there (403, 404)."""
        response = self._attempt(path, {}, stream=True)
        if response.is_success:
            return response
        response.close()
        self._refuse(response, path)
        return None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _attempt(self, path: str, params: Params, *, stream: bool = False) -> Response:
        import stamina

        for attempt in stamina.retry_context(on=_backoff, attempts=_ATTEMPTS, timeout=None):
            with attempt:
                return self._once(path, params, stream=stream)
        raise AssertionError("a retry context ends by returning or raising")

    def _once(self, path: str, params: Params, *, stream: bool) -> Response:
        import httpx

        # Downloads may be redirected to the wiki's storage; httpx then drops the token. A call may not: it
        # would lead to the page for logging in. Files must come as stored, so nothing may compress them.
        headers = {"Accept-Encoding": "identity"} if stream else {}
        request = self._http.build_request("GET", path, params=params, headers=headers)
        try:
            response = self._http.send(request, stream=stream, follow_redirects=stream)
        except httpx.TimeoutException as exc:
            raise _TryLater(f"{self.base} does not answer {path} in time", hint="try again later") from exc
        except httpx.TransportError as exc:
            raise _TryLater(
                f"{self.base} cannot be reached: {exc}", hint="check the address and network"
            ) from exc
        except httpx.TooManyRedirects as exc:
            raise SourceUnavailable(
                f"{self.base} redirects {path} without end", hint="is this a GROWI wiki's address?"
            ) from exc
        if response.status_code in _TEMPORARY:
            response.close()
            error = _TryLater(
                f"{self.base} answers {path} with {response.status_code}", hint="try again later"
            )
            error.wait = _seconds(response.headers.get("retry-after"))
            raise error
        return response

    def _refuse(self, response: Response, call: str) -> None:
        if response.status_code == 401 or response.is_redirect:
            raise SourceUnavailable(
                f"{self.base} does not accept the access token for {call}",
                hint="give a token with the scopes read:features:page and read:features:attachment in"
                " PACKMULE_GROWI_TOKEN",
            )
        if response.is_error and response.status_code not in {403, 404}:
            raise SourceUnavailable(
                f"{self.base} answers {call} with {response.status_code}", hint="the wiki's own log says why"
            )


def _pieces(response: Response, path: str) -> Iterator[bytes]:
    import httpx

    try:
        yield from response.iter_bytes(_PIECE)
    except httpx.TransportError as exc:
        raise SourceInterrupted(f"the download of {path} broke: {exc}", hint="try again") from exc


def _spooled(pieces: Iterator[bytes]) -> StoredFile:
    """A file that is small, or whose length is known only when it was read: an archive names it first."""
    spooled = cast(BinaryIO, SpooledTemporaryFile(_IN_MEMORY))  # noqa: SIM115 - lives as long as the file
    for piece in pieces:
        spooled.write(piece)
    size = spooled.tell()

    def open_it() -> BinaryIO:
        spooled.seek(0)
        return spooled

    return StoredFile(size, open_it)


def _backoff(exc: Exception) -> bool | float:
    """Whether to try again, and after how many seconds when the server said so."""
    if not isinstance(exc, _TryLater):
        return False
    if exc.wait is None:
        return True
    return exc.wait if exc.wait <= _LONGEST_WAIT_S else False


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After's delay; its other form, a date, is left to the usual waiting."""
    return float(retry_after) if retry_after and retry_after.isdecimal() else None
