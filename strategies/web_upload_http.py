"""The strategy ``web-upload`` to a plain HTTP(S) server: one PUT or POST with the archive as its body."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self
from urllib.parse import unquote, urlsplit, urlunsplit

from export_core.delivery import Archive, Checkpoint, Delivery, DeliveryContext
from export_core.errors import DestinationUnusable, UsageError
from export_core.job import Job
from strategies.http_answer import Answer
from strategies.http_send import Sender, Target, require_httpx
from strategies.masking import mask_url
from strategies.patience import Patience
from strategies.rate_limit import RateLimit
from strategies.reach import check_reachable, check_url
from strategies.surroundings import Surroundings
from strategies.words import Words

_METHODS = ("PUT", "POST")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\xa0-\xff]*)")
_OURS = frozenset({"content-length", "transfer-encoding", "connection", "host"})
_S3_SINGLE_PUT = 5 << 30
"""Amazon takes no more than 5 GiB in one PUT."""


@dataclass(frozen=True, slots=True)
class WebUploadHttp:
    """Options of an upload. ``to`` and ``headers`` may hold secrets."""

    to: str = field(repr=False)
    method: str = "PUT"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    limit_rate: int | None = None
    local_copy: bool = True
    connect_timeout: float = 15.0
    timeout: float = 300.0
    """Seconds without progress; servers that check what they got take their time to answer."""

    name: ClassVar[str] = "web-upload"

    @classmethod
    def from_words(cls, words: Words) -> Self:
        """From ``--to``, ``--method``, ``--header``, ``--limit-rate``, ``--no-local-copy`` ..."""
        method = (words.method or "PUT").upper()
        if method not in _METHODS:
            raise UsageError(f"--method {words.method} is not possible", hint="choose PUT or POST")
        check_url(words.to or "")
        return cls(
            words.to or "",
            method,
            dict(parse_header(header) for header in words.headers),
            words.limit_rate,
            words.local_copy,
            connect_timeout=float(words.more.get("connect_timeout") or 15),
            timeout=float(words.more.get("timeout") or 300),
        )

    @classmethod
    def from_options(cls, options: Mapping[str, Any], _surroundings: Surroundings) -> Self:
        """As stored with the job."""
        return cls(**options)

    @property
    def destination(self) -> str:
        """The URL without user information and query."""
        return mask_url(self.to)

    @property
    def options(self) -> Mapping[str, Any]:
        """Plain JSON values; holds the secrets."""
        return {
            "to": self.to,
            "method": self.method,
            "headers": dict(self.headers),
            "limit_rate": self.limit_rate,
            "local_copy": self.local_copy,
            "connect_timeout": self.connect_timeout,
            "timeout": self.timeout,
        }

    @property
    def wants_file(self) -> bool:
        """Not with ``--no-local-copy``."""
        return self.local_copy

    def check(self, job: Job, expected_size: int | None) -> None:  # noqa: ARG002 - the same for all jobs
        """Whether the server can be reached, without a request, and may take that much."""
        require_httpx()
        check_url(self.to)
        self._check_size(expected_size or 0)
        check_reachable(self.to, self.connect_timeout)

    def deliver(self, archive: Archive, context: DeliveryContext) -> Delivery:
        """Send the archive; after a kill from the beginning, unless the server had already taken it."""
        done = context.checkpoint.load()
        if done.get("sha256") != archive.sha256:
            require_httpx()
            self._check_size(archive.size)
            done = {"sha256": archive.sha256, "details": _details(self._upload(archive, context))}
            context.checkpoint.save(done)
        return Delivery(self.destination, details=done.get("details", {}))

    def abandon(self, job: Job, checkpoint: Checkpoint) -> None:
        """HTTP servers keep nothing of an unfinished request, and know no way to take a finished one back."""

    def still_there(self, job: Job) -> bool:  # noqa: ARG002 - the same for all jobs
        """Cannot be known: the URL is for writing."""
        return False

    def _upload(self, archive: Archive, context: DeliveryContext) -> Answer:
        sender = Sender(self._target(), archive, context, RateLimit(self.limit_rate))
        patience = Patience(context.check_stop)
        for attempt in patience.attempts():
            with attempt:
                return sender.send(patience)
        raise DestinationUnusable(f"{self.destination} was not tried at all")  # stamina tries at least once

    def _target(self) -> Target:
        url, login = _without_login(self.to)
        given = {name.lower() for name in self.headers}
        standard = {
            "Content-Type": "application/gzip",
            "Accept-Encoding": "identity",
            "User-Agent": "packmule",
        }
        headers = {name: value for name, value in standard.items() if name.lower() not in given}
        login = None if "authorization" in given else login
        return Target(
            self.method, url, {**headers, **self.headers}, login, self.connect_timeout, self.timeout
        )

    def _check_size(self, size: int) -> None:
        if size > _S3_SINGLE_PUT and (urlsplit(self.to).hostname or "").endswith(".amazonaws.com"):
            raise DestinationUnusable(
                f"the archive has about {size:,} bytes, and a signed URL of Amazon S3 takes 5 GiB at most",
                hint="upload it in parts: --to s3://bucket/key",
            )


def parse_header(text: str) -> tuple[str, str]:
    """Name and value of ``--header "Name: value"``. Raises UsageError, which does not show the value."""
    match = _HEADER.fullmatch(text.strip())
    if not match:
        raise UsageError(
            f"--header {text.partition(':')[0]!r} is not a header", hint="write it as --header 'Name: value'"
        )
    if match[1].lower() in _OURS:
        raise UsageError(f"--header {match[1]} is set by packmule itself", hint="leave it out")
    return match[1], match[2].strip()


def _without_login(url: str) -> tuple[str, tuple[str, str] | None]:
    parts = urlsplit(url)
    userinfo, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    user, _, password = userinfo.partition(":")
    return urlunsplit(parts._replace(netloc=host)), (unquote(user), unquote(password))


def _details(answer: Answer) -> dict[str, Any]:
    etag = answer.headers.get("etag")
    return {"status": answer.status, **({"etag": etag} if etag else {})}
