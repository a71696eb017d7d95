"""Whether a server can be reached at all: a TCP connection, and nothing said on it."""

from __future__ import annotations

import socket
import urllib.request
from urllib.parse import urlsplit

from export_core.errors import DestinationUnusable, UsageError
from strategies.masking import mask_url

_PORTS = {"http": 80, "https": 443}


def check_url(url: str) -> None:
    """Raise UsageError unless it is an absolute http or https URL with a host and a sound port."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in _PORTS and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    if not sound or any(character.isspace() or not character.isprintable() for character in url):
        raise UsageError(
            f"{mask_url(url)!r} is not an http or https URL", hint="write it as https://host/path/name.tar.gz"
        )


def check_reachable(url: str, timeout: float) -> None:
    """Raise DestinationUnusable unless the URL's host (or the proxy for it) accepts a connection.

    No request is made: on a server that one does not know, none is sure to have no effect.
    """
    scheme, host, port = _next_hop(url)
    try:
        socket.create_connection((host, port), timeout=timeout).close()
    except socket.gaierror as exc:
        raise DestinationUnusable(
            f"host {host} of {mask_url(url)} is not known", hint="look at the URL"
        ) from exc
    except OSError as exc:
        raise DestinationUnusable(
            f"{host} does not accept connections on port {port}: {exc.strerror or exc}",
            hint=f"look at the URL ({scheme}), the server and the firewall between",
        ) from exc


def _next_hop(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 80)
