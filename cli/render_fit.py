"""Renderables that take the width they get: a text cut to one line, relations beside their time bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.measure import Measurement
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

_LEAST = 12
"""Cells below which a text says nothing."""


class OneLine:
    """A text in one line. Where room is short an ellipsis takes its middle, or its end (``keep_start``)."""

    def __init__(self, text: str, style: str = "", *, keep_start: bool = False) -> None:
        self._text = printable(text)
        self._style = style
        self._keep_start = keep_start

    def __rich_measure__(self, _console: Console, _options: ConsoleOptions) -> Measurement:
        natural = cell_len(self._text)
        return Measurement(min(natural, _LEAST), natural)

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        sign = "..." if options.ascii_only else "…"
        text = shortened(self._text, options.max_width, sign, keep_start=self._keep_start)
        yield Text(text, style=self._style, no_wrap=True, overflow="crop")


def printable(text: str) -> str:
    """The text with escapes for what would move the cursor, colour the terminal or not be encodable."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )


def shortened(text: str, width: int, sign: str, *, keep_start: bool = False) -> str:
    """At most ``width`` cells of a text. Of a path the end tells more: it keeps two thirds of the room."""
    if cell_len(text) <= width:
        return text
    room = width - len(sign)
    if room <= 0:
        return sign[:width]
    head = _fitting(text, room if keep_start else room // 3)
    tail = "" if keep_start else _fitting(text[::-1], room - cell_len(head))[::-1]
    return head + sign + tail


def _fitting(text: str, cells: int) -> str:
    """As much of the start of a text as fits."""
    used = 0
    for place, char in enumerate(text):
        used += cell_len(char)
        if used > cells:
            return text[:place]
    return text


def widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """The cells that each column of a table needs."""
    return [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
