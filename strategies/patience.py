"""Trying again: stamina's exponential backoff, and a server's wish (Retry-After) for when to come back."""

from __future__ import annotations

import email.utils
import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import stamina

from export_core.errors import PackmuleError

ATTEMPTS = 8
"""With waits of 1, 2, 4, 8 and then 10 s: a server may be away for most of a minute."""
LONGEST_WISH = 3600.0
"""Seconds; a server that wants to be left alone for longer ends the attempt to deliver."""
_SLICE = 0.2
"""Seconds between two looks at whether the job must stop."""

logging.getLogger("stamina").addHandler(logging.NullHandler())  # else its bare event names reach stderr


class Patience:
    """The attempts of one delivery. Only transient errors are tried again."""

    def __init__(
        self,
        check_stop: Callable[[], None],
        *,
        attempts: int = ATTEMPTS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._check_stop = check_stop
        self._attempts = attempts
        self._clock = clock
        self._sleep = sleep
        self._not_before: float | None = None

    def attempts(self) -> Iterator[stamina.Attempt]:
        """To be used as ``for attempt in patience.attempts(): with attempt: ...``."""
        waits = stamina.retry_context(
            on=self._again, attempts=self._attempts, timeout=None, wait_initial=1, wait_max=10, wait_jitter=1
        )
        for attempt in waits:
            self._wait()
            yield attempt

    def wish(self, seconds: float | None) -> None:
        """The server asked to be left alone for so long before the next attempt."""
        self._not_before = None if seconds is None else self._clock() + seconds

    def _again(self, exc: Exception) -> bool | float:
        transient = isinstance(exc, PackmuleError) and exc.transient
        return 0.0 if transient and self._not_before is not None else transient

    def _wait(self) -> None:
        # Not left to stamina: a job that is cancelled must not sleep for an hour first.
        self._check_stop()
        while self._not_before is not None and (left := self._not_before - self._clock()) > 0:
            self._sleep(min(left, _SLICE))
            self._check_stop()
        self._not_before = None


def retry_after(value: str | None, *, now: datetime | None = None) -> float | None:
    """Seconds from a Retry-After header: a number or an HTTP date (RFC 9110, 10.2.3); None for neither."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())
