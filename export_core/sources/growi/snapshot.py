"""The frozen view of a wiki: which pages with which revisions, cut into parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

from export_core.errors import ExportFailed, NotFound
from export_core.job import MISSING
from export_core.source import Part, Plan, Selection
from export_core.sources.growi.frozen import (
    FrozenPage,
    fingerprint,
    pack,
    pack_attachments,
    pack_links,
)
from export_core.sources.growi.names import INDEX, assign
from export_core.sources.growi.options import Options
from export_core.sources.growi.pages import LeftOut, Selected, roots, select
from export_core.sources.growi.records import Attachment, PageRecord, WikiStore
from export_core.timestamps import to_text, utc_now

FORMAT = 1
"""Raised when the same pages would give other files, so that no older archive is taken for equal."""
PAGES_A_PART = 250
FILES_A_PART = 200
BYTES_A_PART = 256 << 20
_PAGE_BYTES = 4096
"""A guess for weighing parts: sizes are known only to who reads the texts."""
_NAMED = 10
"""So many of what is missing are named in a message."""
RELATIONS = ("pages", "attachments", "index")


@dataclass(frozen=True, slots=True)
class Slice:
    """The pages of one part, packed, with their attachments."""

    count: int
    rows: str
    attachments: tuple[Attachment, ...]


class GrowiSnapshot:
    """What ``freeze`` found. It holds no connection: texts are read by readers, by revision id."""

    def __init__(
        self, root: str, options: Options, slices: Sequence[Slice] | None, details: Mapping[str, Any]
    ) -> None:
        self._root = root
        self._options = options
        self._slices = slices
        self._details = details

    @property
    def token(self) -> str:
        """The fingerprint and, when links are rewritten, the table of where they lead."""
        return token_of(self._details)

    @property
    def taken_at(self) -> str:
        """When the pages were listed."""
        return str(self._details["taken_at"])

    @property
    def details(self) -> Mapping[str, Any]:
        """Counts, the fingerprint, and under names with a leading ``_`` what only a resume needs."""
        return self._details

    def plan(self, selection: Selection) -> Plan:
        """The index, then pages in the order of their paths, then attachments."""
        if self._slices is None:
            raise ExportFailed("a reopened wiki has no list of pages", hint="start over with --restart")
        attachments = self._options.attachments and selection.includes("attachments")
        relations = [r for r in RELATIONS if selection.includes(r) and (r != "attachments" or attachments)]
        absent = self._details["_absent"] if attachments else []
        self._check_absent(absent)
        parts: list[Part] = []
        if "index" in relations:
            parts += _index(self._slices, self._root, attachments=attachments)
        if "pages" in relations:
            parts += _pages(self._slices, self._options, attachments=attachments)
        if attachments:
            parts += _files(self._slices, self._options)
        warnings = (
            *self._details["_warnings"],
            *(f"{MISSING}attachment {name} has no file" for name in absent),
        )
        return Plan(tuple(parts), warnings=warnings, relations=tuple(relations))

    def refresh(self, part: Part) -> Part:
        """The part itself, as revisions never change; only whether texts may be missing is asked anew."""
        if "allow_missing" not in part.payload:
            return part
        return replace(part, payload={**part.payload, "allow_missing": self._options.allow_missing})

    def close(self) -> None:
        """Nothing to close."""

    def _check_absent(self, absent: Sequence[str]) -> None:
        if absent and not self._options.allow_missing:
            raise ExportFailed(
                f"attachments without a file: {len(absent)}: {', '.join(absent[:_NAMED])}",
                hint="--allow-missing exports without them, --skip attachments without any",
            )


def _index(slices: Sequence[Slice], root: str, *, attachments: bool) -> Iterator[Part]:
    """``pages.json``. A part opens or closes the document where it is the first or last."""
    last = len(slices) - 1
    for number, one in enumerate(slices):
        payload = {
            "rows": one.rows,
            "attachments": pack_attachments(one.attachments if attachments else ()),
            "root": root if number == 0 else None,
            "last": number == last,
        }
        yield Part("index", number, INDEX, payload, weight=one.count * 256, lines=one.count)


def _pages(slices: Sequence[Slice], options: Options, *, attachments: bool) -> Iterator[Part]:
    payload = {
        "front_matter": options.front_matter,
        "links": attachments if options.rewrite_links is None else options.rewrite_links,
        "attachments": attachments,
        "allow_missing": options.allow_missing,
    }
    for number, one in enumerate(slices):
        weight = one.count * _PAGE_BYTES
        yield Part("pages", number, None, {**payload, "rows": one.rows}, weight=weight, lines=one.count)


def _files(slices: Sequence[Slice], options: Options) -> Iterator[Part]:
    flat = [record for one in slices for record in one.attachments]
    for number, some in enumerate(_portions(flat)):
        payload = {"attachments": pack_attachments(some), "allow_missing": options.allow_missing}
        weight = sum(record.size for record in some)
        yield Part("attachments", number, None, payload, weight=weight, lines=len(some), deferred=True)


def freeze(store: WikiStore, root: str, options: Options) -> GrowiSnapshot:
    """List the pages of an export and their attachments. Raises NotFound when there are none."""
    taken_at = to_text(utc_now())
    selected = _select(store, root, options)
    pages = _freeze_pages(store, selected.pages)
    selected.pages.clear()  # of many pages, two lists would be much
    attachments = _attachments(store, pages) if options.attachments else []
    absent = store.absent(attachments) if attachments else frozenset()
    kept = [record for record in attachments if record.id not in absent]
    details = {
        **store.describe(),
        "taken_at": taken_at,
        "pages": len(pages),
        "attachments": len(kept),
        "left_out": {str(reason): count for reason, count in sorted(selected.left_out.items())},
        "as_user": options.as_user,
        "fingerprint": fingerprint(pages, kept, (FORMAT, root, store.site(), *astuple(options))),
        "_warnings": _warnings(selected, pages),
        "_absent": [f"{record.name} ({record.id})" for record in attachments if record.id in absent],
    }
    if options.rewrite_links is not False:
        details["_links"] = pack_links(pages, kept, store.site())
    return GrowiSnapshot(root, options, list(_slices(pages, kept)), details)


def token_of(details: Mapping[str, Any]) -> str:
    """The token of a snapshot, from its details."""
    return f"{details['fingerprint']} {details.get('_links', '')}".rstrip()


def _select(store: WikiStore, root: str, options: Options) -> Selected:
    viewer = store.viewer(options.as_user) if options.as_user else None
    listed = (page for path in roots(root, options) for page in store.pages(path))
    selected = select(listed, root, options, viewer)
    if hidden := store.unreadable(selected.pages):
        selected.pages = [page for page in selected.pages if page.id not in hidden]
        selected.leave_out(LeftOut.UNREADABLE, len(hidden))
    if not selected.pages:
        raise _nothing(root, selected)
    return selected


def _nothing(root: str, selected: Selected) -> NotFound:
    if not selected.left_out:
        return NotFound(
            f"the wiki has no page {root}", hint="name a page by its path, such as /Sandbox, or / for all"
        )
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(selected.left_out.items()))
    return NotFound(
        f"there is nothing to export at {root}: {reasons}", hint="see --as-user and the flags for drafts"
    )


def _freeze_pages(store: WikiStore, pages: Sequence[PageRecord]) -> list[FrozenPage]:
    files = assign((page.path, page.id) for page in pages)
    names = store.usernames({page.author for page in pages if page.author})
    unknown = [page for page in pages if page.revision is None]
    latest = store.latest_revisions(unknown) if unknown else {}
    return [
        FrozenPage(
            page.path,
            page.id,
            page.revision or latest.get(page.id),
            file,
            page.created,
            page.updated,
            names.get(page.author or "", page.author),
        )
        for page, file in zip(pages, files, strict=True)
    ]


def _attachments(store: WikiStore, pages: Sequence[FrozenPage]) -> list[Attachment]:
    """All attachments of the pages, in the order of the pages."""
    position = {page.id: number for number, page in enumerate(pages)}
    found = {record.id: record for record in store.attachments([page.id for page in pages])}
    return sorted(found.values(), key=lambda record: (position[record.page], record.id))


def _slices(pages: Sequence[FrozenPage], attachments: Sequence[Attachment]) -> Iterator[Slice]:
    of_page: dict[str, list[Attachment]] = {}
    for record in attachments:
        of_page.setdefault(record.page, []).append(record)
    for at in range(0, len(pages), PAGES_A_PART):
        some = pages[at : at + PAGES_A_PART]
        theirs = tuple(record for page in some for record in of_page.get(page.id, ()))
        yield Slice(len(some), pack(some), theirs)


def _portions(attachments: Sequence[Attachment]) -> Iterator[list[Attachment]]:
    """Attachments cut by number and by size."""
    some: list[Attachment] = []
    size = 0
    for record in attachments:
        if some and (len(some) == FILES_A_PART or size + record.size > BYTES_A_PART):
            yield some
            some, size = [], 0
        some.append(record)
        size += record.size
    if some:
        yield some


def _warnings(selected: Selected, pages: Sequence[FrozenPage]) -> list[str]:
    texts = {
        LeftOut.DRAFT: "drafts (work in progress) left out: {}",
        LeftOut.UNREADABLE: "pages that the wiki lists but does not show to the token's owner, left out: {}",
    }
    found = [
        text.format(selected.left_out[reason])
        for reason, text in texts.items()
        if reason in selected.left_out
    ]
    without = [page.path for page in pages if page.revision is None]
    if without:
        found.append(f"pages without any text, empty files: {len(without)}: {', '.join(without[:_NAMED])}")
    return found
