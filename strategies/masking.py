"""Takes secrets out of URLs and texts before anybody sees them.

A signed URL is a secret from its question mark on, user information before the ``@`` is one as a whole
(tokens are put in either half), and in notification URLs even host and path can be the token.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

MASK = "***"
_SHORTEST = 6
"""Shorter values (``v=2``) are no secrets, and replacing them would make texts unreadable."""
_HOST_IS_PLAIN = frozenset(
    {"mailto", "mailtos", "json", "jsons", "xml", "xmls", "form", "forms", "http", "https"}
)
"""Notification schemes whose host is a host; in all others it may be the token (``slack://TOKEN/...``)."""
_QUERY = re.compile(r"(?<=\?)[^#\s)\]\"'\\]+")
_USERINFO = re.compile(r"(?<=://)[^/?#\s]*@")


def mask_url(url: str) -> str:
    """The URL with user information and the whole query masked; the fragment is dropped."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return _USERINFO.sub(f"{MASK}@", url.partition("?")[0])
    query = MASK if parts.query else ""
    return urlunsplit((parts.scheme, _masked_netloc(parts), parts.path, query, ""))


def mask_notification_url(url: str) -> str:
    """A notification URL reduced to what cannot be a secret: its scheme, and the host where that is one."""
    scheme, separator, _ = url.partition("://")
    if not separator:
        return MASK
    host = _host(url) if scheme.lower() in _HOST_IS_PLAIN else None
    return f"{scheme}://{host}/{MASK}" if host else f"{scheme}://{MASK}"


def secrets_in(url: str) -> tuple[str, ...]:
    """Every piece of a URL that must not be shown, longest first, as written and decoded."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ()
    found = {parts.query, parts.netloc.rpartition("@")[0], parts.username, parts.password}
    found |= {value for _, value in parse_qsl(parts.query, keep_blank_values=False)}
    found |= {pair.partition("=")[2] for pair in parts.query.split("&")}
    texts = {text for text in found if text and len(text) >= _SHORTEST}
    return tuple(sorted(texts | {unquote(text) for text in texts}, key=len, reverse=True))


def scrub(text: str, secrets: Iterable[str]) -> str:
    """The text with every given secret replaced; for words that come from libraries and servers."""
    for secret in sorted((s for s in secrets if s), key=len, reverse=True):
        text = text.replace(secret, MASK)
    return _USERINFO.sub(f"{MASK}@", text)


def mask_urls_in(text: str) -> str:
    """The text with the user information and the queries of all URLs in it masked, whatever they hold."""
    return _USERINFO.sub(f"{MASK}@", _QUERY.sub(MASK, text)) if "://" in text else text


def _masked_netloc(parts: SplitResult) -> str:
    userinfo, at, host = parts.netloc.rpartition("@")
    return f"{MASK}@{host}" if at and userinfo else host


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
