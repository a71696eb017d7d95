"""Where a Markdown text is code, and therefore not to be touched: fenced and indented blocks, code spans,
comments, and HTML elements whose content is shown as it stands. Follows CommonMark 0.31, sections 4.4, 4.5,
4.6 and 6.1, as far as finding code needs it; in doubt a stretch counts as code.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterable, Iterator

Region = tuple[int, int]
"""Beginning and end of a stretch of text, as offsets."""

_FENCE = re.compile(r"[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(`{3,}|~{3,})(.*)")
_LIST_ITEM = re.compile(r"[ \t>]*(?:[-*+]|\d{1,9}[.)])(?:[ \t]|\Z)")
_INDENT = re.compile(r" {4}| {0,3}\t")
_LIST_CODE = re.compile(r" {8}| {0,3}\t {0,3}(?:\t| {4})")
_BLOCK_MARKS = ("```", "~~~", "    ", "\t")
_RUN = re.compile(r"`+")
_BLANK_LINE = re.compile(r"\n[ \t]*(?=\n)")
_VERBATIM_TAG = re.compile(r"<(?:!--|(pre|code|script|style|textarea)\b[^<>]*>)", re.IGNORECASE)


def verbatim(text: str, places: Iterable[int]) -> list[Region]:
    """The stretches that are code or comments, in order, none overlapping. Code spans, which are most
    numerous and end with their paragraph, are looked for only around ``places``.
    """
    regions = list(_blocks(text)) if any(mark in text for mark in _BLOCK_MARKS) else []
    tagged = "<" in text and _VERBATIM_TAG.search(text) is not None
    if "`" in text:
        windows = [(0, len(text))] if tagged else sorted({_paragraph(text, place) for place in places})
        spans = [span for gap in _cut(windows, regions) for span in _code_spans(text, gap)]
        regions = _merge(regions + spans)
    if tagged:
        regions = _merge([*regions, *_elements(text, _cut([(0, len(text))], regions))])
    return regions


def _paragraph(text: str, place: int) -> Region:
    """The lines around a place up to empty ones; blank lines that are not empty are found later."""
    end = text.find("\n\n", place)
    return max(0, text.rfind("\n\n", 0, place)), end if end >= 0 else len(text)


def _cut(windows: Iterable[Region], regions: list[Region]) -> Iterator[Region]:
    """What of the windows is in no region."""
    starts, ends = [start for start, _ in regions], [end for _, end in regions]
    for at, limit in windows:
        place = at
        for first, last in regions[bisect(ends, at) : bisect(starts, limit)]:
            if place < first:
                yield place, first
            place = last
        if place < limit:
            yield place, limit


def escaped(text: str, place: int) -> bool:
    """Whether an odd number of backslashes stands before a place."""
    before = place
    while before and text[before - 1] == "\\":
        before -= 1
    return (place - before) % 2 == 1


class _Block:
    """An open block of code: where it began, and the fence that will end it."""

    __slots__ = ("fence", "start")

    def __init__(self, start: int, fence: str) -> None:
        self.start = start
        self.fence = fence

    def closed_by(self, marker: str, rest: str) -> bool:
        return marker[0] == self.fence[0] and len(marker) >= len(self.fence) and not rest.strip()


def _blocks(text: str) -> Iterator[Region]:
    """Fenced and indented blocks, in one pass over the lines."""
    block: _Block | None = None
    at, blank, listed = 0, True, False
    for line in text.split("\n"):
        end = at + len(line) + 1
        fence = _FENCE.match(line)
        if block is not None:
            if fence and block.closed_by(fence[1], fence[2]):
                yield block.start, min(end, len(text))
                block = None
        elif fence and not (fence[1][0] == "`" and "`" in fence[2]):
            block = _Block(at, fence[1])
        elif line.strip():
            if (_LIST_CODE if listed else _INDENT).match(line) and blank:
                yield at, min(end, len(text))
                at = end
                continue  # ``blank`` stays: the next indented line is code as well
            listed = bool(_LIST_ITEM.match(line)) or (listed and (not blank or line[0] in " \t"))
        blank = block is None and not line.strip()
        at = end
    if block is not None:
        yield block.start, len(text)


def _code_spans(text: str, gap: Region) -> Iterator[Region]:
    """Code spans between runs of equally many backticks, within a paragraph."""
    runs = [run for m in _RUN.finditer(text, *gap) if (run := _unescaped(text, m))]
    breaks = [m.start() for m in _BLANK_LINE.finditer(text, *gap)] if runs else []
    closer, nearest = [-1] * len(runs), dict[tuple[int, int], int]()
    for index in range(len(runs) - 1, -1, -1):
        start, end = runs[index]
        key = (bisect(breaks, start), end - start)
        closer[index] = nearest.get(key, -1)
        nearest[key] = index
    index = 0
    while index < len(runs):
        if closer[index] >= 0:
            yield runs[index][0], runs[closer[index]][1]
            index = closer[index]
        index += 1


def _unescaped(text: str, match: re.Match[str]) -> Region | None:
    """A run of backticks without its first, if that one is escaped."""
    start, end = match.span()
    start += escaped(text, start)
    return (start, end) if start < end else None


def _elements(text: str, open_to: Iterable[Region]) -> Iterator[Region]:
    """Comments, and elements such as ``pre``, to their end or to the end of the text."""
    lower = text.lower() if len(text.lower()) == len(text) else text
    at = 0
    for start, limit in open_to:
        at = max(at, start)
        while at < limit and (match := _VERBATIM_TAG.search(text, at, limit)):
            closing = f"</{match[1].lower()}" if match[1] else "-->"
            found = lower.find(closing, match.end())
            at = len(text) if found < 0 else found + len(closing)
            yield match.start(), at


def _merge(regions: list[Region]) -> list[Region]:
    """Regions in order, overlapping ones made one."""
    merged: list[Region] = []
    for start, end in sorted(regions):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
