"""Text columns arrive as bytes on our connections; this is where they become text."""

from __future__ import annotations

from typing import Any


def text(value: Any) -> str | None:
    """A text column's value."""
    if value is None:
        return None
    return bytes(value).decode() if isinstance(value, bytes | memoryview) else str(value)
