"""Breaks off what a database works on, from another thread: so that a stop is heard within seconds."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

_PATIENCE = 2.0
"""Seconds that a server which does not answer may keep whoever wants to stop."""


def cancel_all(connections: Iterable[psycopg.Connection[Any]]) -> None:
    """Have the server break off what it does for these connections. Never raises."""
    for connection in tuple(connections):
        with suppress(Exception):  # it may be closed, or closing, at this very moment
            connection.cancel_safe(timeout=_PATIENCE)
