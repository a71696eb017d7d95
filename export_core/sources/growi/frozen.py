"""The frozen page list: rows of a part's payload, the links' table, the fingerprint.

A part carries its own pages, packed (JSON, zlib, base 85), so that it can be read again after any
interruption, exactly and from any machine. The table of all pages and attachments, which links need,
would be too much to repeat in every part: it travels once, in the snapshot's token.
"""

from __future__ import annotations

import json
import zlib
from base64 import b85decode, b85encode
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from threading import Lock
from typing import Any, NamedTuple

from export_core.sources.growi.names import assign, attachment_name
from export_core.sources.growi.records import Attachment

_ONE_AT_A_TIME = Lock()


class FrozenPage(NamedTuple):
    """A selected page as it was when the snapshot was taken."""

    path: str
    id: str
    revision: str | None
    """None for a page that never had a text."""
    file: str
    """Member name in the archive."""
    created: str | None
    updated: str | None
    author: str | None


class LinkTable(NamedTuple):
    """Where links lead: the files of all exported pages and attachments."""

    files: dict[str, str]
    """File by page path."""
    paths: dict[str, str]
    """Path by page id, for permanent links."""
    attachments: dict[str, str]
    """File by attachment id."""
    site: str | None
    """The wiki's address without a slash at the end."""


def pack(rows: Iterable[Sequence[Any]]) -> str:
    """Rows of plain values as one short text; equal rows give equal text."""
    text = json.dumps([list(row) for row in rows], ensure_ascii=True, separators=(",", ":"))
    return b85encode(zlib.compress(text.encode(), 6)).decode()


def unpack(packed: str) -> list[list[Any]]:
    """The rows that ``pack`` was given."""
    rows: list[list[Any]] = json.loads(zlib.decompress(b85decode(packed)))
    return rows


def unpack_pages(packed: str) -> list[FrozenPage]:
    """The pages of a part."""
    return [FrozenPage(*row) for row in unpack(packed)]


def unpack_attachments(packed: str) -> list[Attachment]:
    """The attachments of a part."""
    return [Attachment(*row) for row in unpack(packed)]


def pack_attachments(attachments: Iterable[Attachment]) -> str:
    """The attachments of a part, for its payload."""
    return pack((a.id, a.page, a.name, a.size, a.stored) for a in attachments)


def pack_links(pages: Sequence[FrozenPage], attachments: Sequence[Attachment], site: str | None) -> str:
    """The table of links as one text. File names are not in it: they follow from the sorted paths."""
    tables = [[p.path, p.id] for p in pages], [[a.id, a.name] for a in attachments], [[site]]
    return " ".join(pack(rows) for rows in tables)


def unpack_links(packed: str) -> LinkTable:
    """The table of links. Kept, because all workers of a process use the same; made by one of them."""
    with _ONE_AT_A_TIME:
        return _unpack_links(packed)


@lru_cache(maxsize=2)
def _unpack_links(packed: str) -> LinkTable:
    pages, attachments, site = (unpack(rows) for rows in packed.split(" "))
    files = assign((path, page) for path, page in pages)
    return LinkTable(
        {path: file for (path, _), file in zip(reversed(pages), reversed(files), strict=True)},
        {page: path for path, page in pages},
        {attachment: attachment_name(attachment, name) for attachment, name in attachments},
        site[0][0],
    )


def fingerprint(
    pages: Iterable[FrozenPage], attachments: Iterable[Attachment], options: Iterable[object]
) -> str:
    """SHA-256 over the sorted (path, revision) pairs, the attachments and the options: equal fingerprints
    mean equal content, whatever the order in which the wiki listed it.
    """
    digest = sha256()
    for row in sorted((page.path, page.revision or "") for page in pages):
        digest.update(_line(row))
    for row in sorted((a.id, a.name) for a in attachments):
        digest.update(_line(row))
    digest.update(_line([str(option) for option in options]))
    return digest.hexdigest()


def _line(values: Iterable[str]) -> bytes:
    return json.dumps(list(values)).encode() + b"\n"
