"""Links between exported pages, and to their attachments, made relative to the file that holds them.

Understood: Markdown's inline links, images and reference definitions, ``href`` and ``src`` of HTML tags, and
GROWI's ``[[page]]`` and ``[[label>page]]``. Relative targets are resolved as GROWI's viewer does: against the
page's path as a browser would, in ``[[...]]`` against the page as a folder. A link that leads to nothing in
the export, has a query, or stands in code is left as it is.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from html import unescape
from urllib.parse import unquote

from export_core.sources.growi.frozen import FrozenPage, LinkTable
from export_core.sources.growi.verbatim import Region, escaped, verbatim

# Each begins with a character, not with a choice or a look behind: that is what makes searching fast.
_WIKI = re.compile(r"\[\[(?:(?P<label>[^\[\]>\n]*)>)?(?P<href>[^\[\]>\n]+)\]\](?!\()")
_INLINE = re.compile(
    r"\]\([ \t]*(?:\n[ \t]*)?"
    r"(?P<target><(?P<angle>[^<>\n]+)>|(?P<href>(?:[^\s()<>\\]|\\.|\((?:[^\s()\\]|\\.)*\))+))"
    r"(?=[\s)])"
)
_DEFINITION = re.compile(r"\]:[ \t]*(?P<target><(?P<angle>[^<>\n]+)>|(?P<href>[^\s<>]+))(?=\s|\Z)")
_LABEL = re.compile(r" {0,3}\[(?!\^)(?:[^\[\]\\]|\\.)+\Z")
"""What stands on the line before a definition's ``]:``."""
_TAG = re.compile(
    r"<[a-z][^<>]*?\s(?:href|src)[ \t]*=[ \t]*(?:\"(?P<href>[^\"<>\n]*)\"|'(?P<angle>[^'<>\n]*)')",
    re.IGNORECASE,
)
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_ATTACHMENT = re.compile(r"/(?:attachment|download)/([0-9a-f]{24})\Z")
_PERMANENT = re.compile(r"/([0-9a-f]{24})\Z")
_NOT_IN_URL = re.compile(r"[\x00-\x20\x7f\"#%&'()<>?\[\\\]^`{|}]")

Edit = tuple[int, int, str]
"""Beginning and end of what is replaced, and by what."""


class LinkRewriter:
    """Rewrites the links of one export's pages; ``attachments`` says whether their files are exported."""

    def __init__(self, table: LinkTable, *, attachments: bool) -> None:
        self._table = table
        self._attachments = table.attachments if attachments else {}

    def rewrite(self, page: FrozenPage, text: str) -> str:
        """The text with its links made relative."""
        edits = sorted(self._edits(page, text))
        if not edits:
            return text
        pieces, at, regions = list[str](), 0, verbatim(text, [edit[0] for edit in edits])
        for start, end, new in edits:
            if start >= at and not _inside(start, regions):
                pieces += text[at:start], new
                at = end
        pieces.append(text[at:])
        return "".join(pieces)

    def _edits(self, page: FrozenPage, text: str) -> Iterator[Edit]:
        """Links that lead to something in the export, code or not."""
        if "](" in text:
            yield from self._markdown(page, _INLINE.finditer(text))
        if "]:" in text:
            yield from self._markdown(page, filter(_is_definition, _DEFINITION.finditer(text)))
        if "[[" in text:
            yield from self._wiki_links(page, text)
        if "<" in text:
            yield from self._tags(page, text)

    def _markdown(self, page: FrozenPage, matches: Iterable[re.Match[str]]) -> Iterator[Edit]:
        for match in matches:
            href = match["angle"] or match["href"]
            if "\\" in href:
                href = _ESCAPED.sub(r"\1", href)
            target = self._target(page, unescape(href) if "&" in href else href, page.path)
            if target and not escaped(match.string, match.start()):
                yield match.start("target"), match.end("target"), target

    def _tags(self, page: FrozenPage, text: str) -> Iterator[Edit]:
        for match in _TAG.finditer(text):
            group = "href" if match["href"] is not None else "angle"
            if target := self._target(page, unescape(match[group]), page.path):
                yield match.start(group), match.end(group), target

    def _wiki_links(self, page: FrozenPage, text: str) -> Iterator[Edit]:
        """An ordinary link for GROWI's own form, which only few readers know."""
        for match in _WIKI.finditer(text):
            target = self._target(page, match["href"].strip(), page.path.rstrip("/") + "/")
            if target and not escaped(text, match.start()):
                yield match.start(), match.end(), f"[{match['label'] or match['href']}]({target})"

    def _target(self, page: FrozenPage, href: str, base: str) -> str | None:
        """The relative URL for a link's target; None when the target is not in the export."""
        address, hash_sign, fragment = href.partition("#")
        path = self._path(address, base)
        file = self._file(path) if path else None
        return _quote(relative(page.file, file)) + hash_sign + fragment if file else None

    def _path(self, address: str, base: str) -> str | None:
        """The page path, or path on the site, that an address means; None for other sites and for queries."""
        if not address or "?" in address or address.startswith("//"):
            return None
        if _SCHEME.match(address):
            site = self._table.site
            if not site or not (address + "/").startswith(site + "/"):
                return None
            address = address[len(site) :] or "/"
        path = unquote(address) if "%" in address else address
        return path if path.startswith("/") else resolve(path, base)

    def _file(self, path: str) -> str | None:
        files = self._table.files
        if file := files.get(path):
            return file
        if found := _ATTACHMENT.match(path):
            return self._attachments.get(found[1])
        if found := _PERMANENT.match(path):
            return files.get(self._table.paths.get(found[1], ""))
        return files.get(path.rstrip("/") or "/") or files.get(resolve(path, "/"))


def _inside(place: int, regions: Sequence[Region]) -> bool:
    index = bisect_right(regions, place, key=_start)
    return index > 0 and place < regions[index - 1][1]


def _start(region: Region) -> int:
    return region[0]


def _is_definition(match: re.Match[str]) -> bool:
    line = match.string[match.string.rfind("\n", 0, match.start()) + 1 : match.start()]
    return _LABEL.match(line) is not None


def resolve(path: str, base: str) -> str:
    """A path relative to ``base`` (up to its last slash) made absolute, without ``.`` and ``..``."""
    joined = path if path.startswith("/") else base[: base.rfind("/") + 1] + path
    kept: list[str] = []
    for segment in joined.split("/")[1:]:
        if segment == "..":
            kept = kept[:-1]
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join(kept).rstrip("/")


def relative(source: str, target: str) -> str:
    """The way from one file of the archive to another."""
    here, there = source.split("/")[:-1], target.split("/")
    common = 0
    while common < len(here) and common < len(there) - 1 and here[common] == there[common]:
        common += 1
    return "../" * (len(here) - common) + "/".join(there[common:])


def _quote(path: str) -> str:
    """Percent-encode what would end or change a link's target; other scripts stay readable."""
    return _NOT_IN_URL.sub(lambda match: f"%{ord(match[0]):02X}", path)
