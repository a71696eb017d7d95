"""Values that the facts leave open: equal to everything that they allow."""

from __future__ import annotations

import re


class Approximately:
    """Text of an unknown charset: what is ASCII in it is certain."""

    def __init__(self, raw: bytes) -> None:
        self._certain = re.findall(r"[\n -~]+", raw.decode("latin-1"))

    def __eq__(self, other: object) -> bool:
        place = 0
        for piece in self._certain:
            place = str(other).find(piece, place)
            if place < 0:
                return False
        return isinstance(other, str)

    def __repr__(self) -> str:
        return f"Approximately({self._certain})"

    __hash__ = None  # type: ignore[assignment]


class AnyHexOf40:
    """A made-up identifier."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and re.fullmatch("[0-9a-f]{40}", other) is not None

    __hash__ = None  # type: ignore[assignment]
