"""Links between exported pages, and to their attachments, made relative to the file that holds them.

Understood: Markdown's inline links, images and reference definitions, ``href`` and ``src`` of HTML tags, and
GROWI's ``[[page]]`` and ``[[label>page]]``. Relative targets are resolved as GROWI's viewer does: against the
page's path as a browser would, in ``[[...]]`` against the page as a folder. A link that leads to nothing in
the export, has a query, or stands in code is left as it is.
"""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import unquote

from export_core.sources.growi.frozen import FrozenPage, LinkTable
from export_core.sources.growi.verbatim import gaps, verbatim

_MAY_HOLD_LINKS = re.compile(r"\]\(|\]:|\[\[|\b(?:href|src)\b", re.IGNORECASE)
_LINK = re.compile(
    r"""
      (?<!\\)\[\[ (?:(?P<label>[^\[\]>\n]*)>)? (?P<wiki>[^\[\]>\n]+) \]\](?!\()
    | (?<!\\)(?P<inline>\]\([ \t]*\n?[ \t]*)
        (?:<(?P<angle>[^<>\n]+)>|(?P<bare>(?:[^\s()<>\\]|\\.|\((?:[^\s()\\]|\\.)*\))+)) (?=[\s)])
    | (?P<definition>^[ ]{0,3}\[(?!\^)(?:[^\[\]\\\n]|\\.)+\]:[ \t]*)
        (?:<(?P<angled>[^<>\n]+)>|(?P<plain>[^\s<>]+)) (?=\s|\Z)
    | (?P<tag><[a-z][^<>]*?\s(?:href|src)[ \t]*=[ \t]*)
        (?:"(?P<double>[^"<>\n]*)"|'(?P<single>[^'<>\n]*)')
    """,
    re.VERBOSE | re.MULTILINE | re.IGNORECASE,
)
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_ATTACHMENT = re.compile(r"/(?:attachment|download)/([0-9a-f]{24})\Z")
_PERMANENT = re.compile(r"/([0-9a-f]{24})\Z")
_NOT_IN_URL = re.compile(r"[\x00-\x20\x7f\"#%&'()<>?\[\\\]^`{|}]")
_OUTERMOST = ("inline", "definition", "tag")


class LinkRewriter:
    """Rewrites the links of one export's pages; ``attachments`` says whether their files are exported."""

    def __init__(self, table: LinkTable, *, attachments: bool) -> None:
        self._table = table
        self._attachments = table.attachments if attachments else {}

    def rewrite(self, page: FrozenPage, text: str) -> str:
        """The text with its links made relative."""
        if not _MAY_HOLD_LINKS.search(text):
            return text
        pieces, at = list[str](), 0
        for start, end in gaps(text, verbatim(text)):
            pieces += text[at:start], self._piece(page, text[start:end])
            at = end
        pieces.append(text[at:])
        return "".join(pieces)

    def _piece(self, page: FrozenPage, text: str) -> str:
        return _LINK.sub(lambda match: self._link(page, match), text)

    def _link(self, page: FrozenPage, match: re.Match[str]) -> str:
        if (wiki := match["wiki"]) is not None:
            return self._wiki_link(page, wiki, match["label"]) or match[0]
        before = next(text for name in _OUTERMOST if (text := match[name]) is not None)
        if match["tag"] is not None:
            quote = '"' if match["double"] is not None else "'"
            target = self._target(page, unescape(match["double"] or match["single"] or ""), page.path)
            return f"{before}{quote}{target}{quote}" if target else match[0]
        href = match["angle"] or match["bare"] or match["angled"] or match["plain"]
        target = self._target(page, unescape(_ESCAPED.sub(r"\1", href)), page.path)
        return before + target if target else match[0]

    def _wiki_link(self, page: FrozenPage, wiki: str, label: str | None) -> str | None:
        """An ordinary link for GROWI's own form, which only few readers know."""
        target = self._target(page, wiki.strip(), page.path.rstrip("/") + "/")
        return f"[{label if label else wiki}]({target})" if target else None

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
        path = unquote(address)
        return path if path.startswith("/") else resolve(path, base)

    def _file(self, path: str) -> str | None:
        if found := _ATTACHMENT.match(path):
            return self._attachments.get(found[1])
        files = self._table.files
        if found := _PERMANENT.match(path):
            path = self._table.paths.get(found[1], path)
        return files.get(path) or files.get(path.rstrip("/") or "/") or files.get(resolve(path, "/"))


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
