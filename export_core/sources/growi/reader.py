"""Reads the parts of a wiki: texts by revision id, the index, attachments."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from io import BytesIO

from export_core.errors import RelationFailed
from export_core.job import MISSING
from export_core.source import ArchiveFile, Part, Sink
from export_core.sources.growi.frozen import FrozenPage, unpack_attachments, unpack_links, unpack_pages
from export_core.sources.growi.links import LinkRewriter
from export_core.sources.growi.markdown import title, unix_lines, with_front_matter
from export_core.sources.growi.names import attachment_name
from export_core.sources.growi.records import Attachment, StoredFile, WikiStore

_SURROGATE = re.compile("[\ud800-\udfff]")
_MISSING = "(This page's text could not be read from the wiki.)\n"


class GrowiReader:
    """One worker's view of a frozen wiki, with its own connection to the store."""

    def __init__(self, store: WikiStore, token: str) -> None:
        self._store = store
        self._links = token.partition(" ")[2]

    def read(self, part: Part, sink: Sink) -> None:
        """Write a part of ``pages`` or ``index``. Raises RelationFailed when a text is gone."""
        pages = unpack_pages(part.payload["rows"])
        if part.relation == "index":
            _write_index(part, pages, sink)
            return
        rewriter = self._rewriter(part)
        for at in range(0, len(pages), self._store.batch):
            sink.check_stop()
            some = pages[at : at + self._store.batch]
            bodies = self._store.bodies([(page.id, page.revision) for page in some if page.revision])
            for page in some:
                body = bodies.get(page.revision or "") if page.revision else ""
                sink.file(page.file, self._render(part, page, body, sink, rewriter))
            sink.lines(len(some))

    def files(self, part: Part) -> Iterator[ArchiveFile]:
        """The attachments of a part. Raises RelationFailed when a file is gone."""
        for record, stored in self._store.files(unpack_attachments(part.payload["attachments"])):
            if stored is None and not part.payload["allow_missing"]:
                raise RelationFailed(
                    part.relation,
                    f"{record.name} ({record.id}) cannot be read from the wiki",
                    part=part.number,
                    hint="--allow-missing exports without it, --skip attachments without any",
                )
            yield _archive_file(record, stored)

    def close(self) -> None:
        """Give back the store's connections."""
        self._store.close()

    def _rewriter(self, part: Part) -> LinkRewriter | None:
        if not part.payload["links"]:
            return None
        return LinkRewriter(unpack_links(self._links), attachments=part.payload["attachments"])

    def _render(
        self, part: Part, page: FrozenPage, body: str | None, sink: Sink, rewriter: LinkRewriter | None
    ) -> bytes:
        """The file of a page."""
        if body is None:
            _report_missing(part, page, sink)
            return _MISSING.encode()
        text = unix_lines(body)
        if rewriter is not None:
            text = rewriter.rewrite(page, text)
        if part.payload["front_matter"]:
            text = with_front_matter(page, text)
        try:
            return text.encode()
        except UnicodeEncodeError:
            sink.warn(f"{page.path}: characters that are not Unicode text were replaced")
            return text.encode(errors="replace")


def _report_missing(part: Part, page: FrozenPage, sink: Sink) -> None:
    if not part.payload["allow_missing"]:
        raise RelationFailed(
            part.relation,
            f"revision {page.revision} of {page.path} cannot be read from the wiki",
            part=part.number,
            hint="it was deleted or hidden since the export began; --restart lists the pages anew,"
            " --allow-missing writes a note in its place",
        )
    sink.warn(f"{MISSING}{page.path}: revision {page.revision} could not be read; a note is in its place")


def _archive_file(record: Attachment, stored: StoredFile | None) -> ArchiveFile:
    name = attachment_name(record.id, record.name)
    if stored is None:
        note = f"{record.name} could not be read from the wiki.\n".encode()
        return ArchiveFile(f"{name}.missing.txt", len(note), partial(BytesIO, note))
    return ArchiveFile(name, stored.size, stored.open)


def _write_index(part: Part, pages: list[FrozenPage], sink: Sink) -> None:
    """One page a line, so that the index can be read with a JSON parser or with grep."""
    attachments: dict[str, list[Attachment]] = {}
    for record in unpack_attachments(part.payload["attachments"]):
        attachments.setdefault(record.page, []).append(record)
    lines = [_entry(page, attachments.get(page.id, [])) for page in pages]
    root = part.payload["root"]
    head = "" if root is None else f'{{"format":1,"root":{json.dumps(root)},"pages":[\n'
    tail = "\n]}\n" if part.payload["last"] else ",\n"
    sink.write((head + ",\n".join(lines) + tail).encode())
    sink.lines(len(lines))


def _entry(page: FrozenPage, attachments: list[Attachment]) -> str:
    entry = page._asdict() | {"title": title(page.path)}
    if attachments:
        entry["attachments"] = [
            {"id": a.id, "name": a.name, "size": a.size, "file": attachment_name(a.id, a.name)}
            for a in attachments
        ]
    text = json.dumps(entry, ensure_ascii=False, separators=(",", ":"))
    return text if text.isascii() or not _SURROGATE.search(text) else json.dumps(entry, separators=(",", ":"))
