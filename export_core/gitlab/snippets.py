"""The name of a snippet's bundle in an archive."""

from __future__ import annotations

import hashlib
import re

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:?\d\d)")


def snippet_digest(
    title: str | None, description: str | None, created_at: str | None, updated_at: str | None
) -> str:
    """SHA-256 in hex over title, description and both times, as the JSON of an archive writes them.

    Source: GitLab's ``Snippet#hexdigest``; times become ``YYYY-MM-DD HH:MM:SS UTC`` (seconds, the zone as
    ``+HHMM`` on servers with another one). The importer computes it again from the imported row, so it is
    the only link between a bundle and its snippet. Raises ValueError for a time that is none.
    """
    times = _written(created_at) + _written(updated_at)
    return hashlib.sha256(f"{title or ''}{description or ''}{times}".encode()).hexdigest()


def _written(time: str | None) -> str:
    if time is None:
        return ""
    match = _TIME.fullmatch(time)
    if match is None:
        raise ValueError(f"no time: {time!r}")
    day, clock, zone = match.groups()
    return f"{day} {clock} {'UTC' if zone == 'Z' else zone.replace(':', '')}"
