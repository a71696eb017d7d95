"""``--notify URL``: tells people and services about a job through apprise, whatever the strategy.

A notification that fails is a warning. It never fails a job, and never shows a URL: most notification URLs
are secrets as a whole.
"""

from __future__ import annotations

import logging
import re
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from export_core.errors import UsageError
from strategies.masking import mask_notification_url, scrub
from strategies.notify_text import Kind, Message

_PIECES = re.compile(r"[/:@?&=,;+\s]+")
_ONE_AT_A_TIME = threading.Lock()
"""apprise's log is one for the whole process: another job's receivers must not be mixed into our warnings."""
_LOOK = {Kind.SUCCESS: "success", Kind.FAILURE: "failure", Kind.EXPIRED: "info"}
"""apprise's words for how a message looks at the receiver."""


def check_urls(urls: Sequence[str]) -> None:
    """Raise UsageError, before any work, when apprise is missing or does not understand one of the URLs."""
    if not urls:
        return
    apprise = _apprise()
    for number, url in enumerate(urls, 1):
        with _captured():
            understood = apprise.Apprise.instantiate(url)
        if not understood:
            raise UsageError(
                f"notification URL number {number} ({mask_notification_url(url)}) is not understood",
                hint="see https://appriseit.com/services/ for how the URL of a service is written",
            )


def send(urls: Sequence[str], message: Message) -> list[str]:
    """Tell every receiver. Returns a warning, masked, for each that could not be told; raises nothing."""
    return [warning for url in urls if (warning := _send(url, message))]


def _send(url: str, message: Message) -> str | None:
    said: list[str] = []
    try:
        with _captured() as said:
            sent = _deliver(url, message)
    except Exception as exc:  # noqa: BLE001 - a third party's plug-in must not cost a finished export
        sent, said = False, [*said, f"{type(exc).__name__}: {exc}"]
    if sent:
        return None
    why = scrub(" ".join(said), _pieces(url))[:300] or "the receiver gave no reason"
    return f"the notification to {mask_notification_url(url)} was not sent: {why}"


def _deliver(url: str, message: Message) -> bool:
    apprise = _apprise()
    receivers = apprise.Apprise()
    return bool(
        receivers.add(url)
        and receivers.notify(
            title=message.subject, body=message.body, notify_type=_LOOK[message.kind], body_format="text"
        )
    )


def _apprise() -> Any:
    try:
        with _their_own_worries():
            import apprise
    except ImportError as exc:
        raise UsageError(
            "--notify needs apprise, which is not installed", hint="pip install 'packmule[notify]'"
        ) from exc
    return apprise


@contextmanager
def _their_own_worries() -> Iterator[None]:
    """What apprise calls that will be gone one day is no fault of an export, even with ``-W error``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


@contextmanager
def _captured() -> Iterator[list[str]]:
    """Keep apprise's log to ourselves: it names receivers, and at debug level whole payloads."""
    with _ONE_AT_A_TIME, _their_own_worries():
        yield from _capture()


def _capture() -> Iterator[list[str]]:
    log, said = logging.getLogger("apprise"), _Said()
    before = log.propagate
    log.propagate = False
    log.addHandler(said)
    try:
        yield said.lines
    finally:
        log.removeHandler(said)
        log.propagate = before


class _Said(logging.Handler):
    """Remembers warnings and errors."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage().strip())


def _pieces(url: str) -> list[str]:
    """All parts of a URL that could be a secret; better too many than one too few."""
    return [piece for piece in [url, *_PIECES.split(url.partition("://")[2])] if len(piece) >= 4]
