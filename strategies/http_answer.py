"""What the answers of an HTTP server to an upload mean. Pure, but for what it tells ``Patience``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

from export_core.errors import DeliveryInterrupted, DestinationUnusable
from strategies.masking import mask_url, scrub, secrets_in
from strategies.patience import LONGEST_WISH, Patience, retry_after

_AGAIN = frozenset({408, 429})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SAME_REQUEST = frozenset({307, 308})
"""The only redirects after which the same method and body are to be sent (RFC 9110, 15.4)."""
_SHOWN = 300
"""Characters of a server's answer in a message."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")
_HINTS = {
    400: "look at the URL, the method (--method) and the headers (--header) that this server wants",
    401: "the server wants other credentials: look at the URL or --header 'Authorization: ...'",
    403: "the credentials do not allow this, or a signed URL has expired: get a new one and export anew",
    404: "look at the path of the URL",
    405: "try the other method: --method POST or --method PUT",
    409: "something of that name may be there already",
    411: "a proxy on the way seems to drop Content-Length",
    413: "the server takes no file of this size: raise its limit or upload to S3",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers (names in lower case) and the first part of the body."""

    status: int
    headers: Mapping[str, str]
    text: str


def judge(answer: Answer, url: str, secrets: tuple[str, ...], patience: Patience) -> None:
    """Return for 2xx; raise DeliveryInterrupted where trying again may help, else DestinationUnusable."""
    if 200 <= answer.status < 300:
        return
    what = f"{mask_url(url)} answered {_said(answer, secrets)}"
    if answer.status in _AGAIN or answer.status >= 500:
        _come_back(answer, what, patience)
    raise DestinationUnusable(
        what, hint=_HINTS.get(answer.status, "look at the URL, --method and --header, then resume the job")
    )


def redirect(answer: Answer, url: str) -> str | None:
    """The URL to which the same request must be sent, or None when the answer is no redirect.

    Raises DestinationUnusable for a redirect that would take the archive and its credentials elsewhere, or
    that would turn the upload into something else.
    """
    location = answer.headers.get("location")
    if answer.status not in _REDIRECTS or not location:
        return None
    there = urljoin(url, location)
    where = f"{mask_url(url)} answered {answer.status} and points to {mask_url(there)}"
    if answer.status not in _SAME_REQUEST:
        raise DestinationUnusable(
            f"{where}, which is not how an upload is redirected",
            hint="use the address that it points to, if it is right",
        )
    if origin(there) != origin(url):
        raise DestinationUnusable(
            f"{where}: another server, to which the archive and its credentials are not sent",
            hint="if that server is right, give its address with --to",
        )
    return there


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port: what must stay the same for credentials to be sent on."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        return parts.scheme, parts.hostname, port
    except ValueError:
        return "", None, None


def _come_back(answer: Answer, what: str, patience: Patience) -> None:
    wish = retry_after(answer.headers.get("retry-after"))
    if wish is not None and wish > LONGEST_WISH:
        raise DestinationUnusable(
            f"{what} and wants to be left alone for {wish:.0f} s", hint="resume the job after that time"
        )
    patience.wish(wish)
    raise DeliveryInterrupted(what, hint="when the server is well again: packmule resume")


def _said(answer: Answer, secrets: tuple[str, ...]) -> str:
    try:
        phrase = f"{answer.status} {HTTPStatus(answer.status).phrase}"
    except ValueError:
        phrase = str(answer.status)
    text = _CONTROL.sub(" ", scrub(answer.text, secrets)).strip()[:_SHOWN]
    return f"{phrase}: {text}" if text else phrase


def secrets_of(url: str, headers: Mapping[str, str]) -> tuple[str, ...]:
    """Everything of a request that a server may echo and nobody may see."""
    values = [piece for value in headers.values() for piece in (value, *value.split()) if len(piece) >= 6]
    return (*secrets_in(url), *values)
