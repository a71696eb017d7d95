"""A wiki behind GROWI's REST API v3 as a wiki store.

The list is given newest update first, so pages move to its front while it is read: it is read again from
the front until nothing is new. A text is one call: the API has none for many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import urlsplit

from export_core.errors import SourceInterrupted, SourceUnavailable, UsageError
from export_core.source import Check, CheckStatus
from export_core.sources.growi.documents import attachment, identity, page_record
from export_core.sources.growi.records import Attachment, PageRecord, StoredFile, Viewer
from export_core.sources.growi.rest_client import RestClient

_LIST_LIMIT = 500
_LIST_ROUNDS = 5
_CALLS_AT_ONCE = 4
_SMALL_BYTES = 1 << 20
_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})
_PUBLIC = frozenset({None, 1})

T = TypeVar("T")
R = TypeVar("R")


class RestStore:
    """A wiki over HTTP, with the rights of the token's owner."""

    batch = 40

    def __init__(self, client: RestClient) -> None:
        self._client = client
        self._names: dict[str, str] = {}

    def describe(self) -> Mapping[str, Any]:
        """See WikiStore."""
        return {"kind": "rest", "address": self._client.base}

    def site(self) -> str | None:
        """See WikiStore."""
        return self._client.base.rstrip("/")

    def viewer(self, user: str) -> Viewer:  # noqa: ARG002 - the protocol's
        """See WikiStore: over HTTP the token's owner decides."""
        raise UsageError(
            "--as-user needs a wiki read from MongoDB",
            hint="over the REST API, use an access token of that user",
        )

    def pages(self, path: str) -> Iterator[PageRecord]:
        """See WikiStore."""
        for _ in range(_LIST_ROUNDS):
            found: dict[str, PageRecord] = {}
            if self._read_list(path, found):
                yield from found.values()
                return
        raise SourceInterrupted(
            f"the list of pages below {path} changes faster than it can be read",
            hint="try again at a quiet time",
        )

    def unreadable(self, pages: Sequence[PageRecord]) -> frozenset[str]:
        """See WikiStore: restricted pages of others are listed, unless the wiki's settings hide them."""
        restricted = [page for page in pages if page.grant not in _PUBLIC]
        shown = _at_once(lambda page: self._client.get("/page", {"pageId": page.id}), restricted)
        return frozenset(page.id for page, answer in zip(restricted, shown, strict=True) if answer is None)

    def latest_revisions(self, pages: Sequence[PageRecord]) -> Mapping[str, str]:
        """See WikiStore."""
        answers = _at_once(lambda page: self._client.get("/page", {"pageId": page.id}), pages)
        found = {
            p.id: identity((a or {}).get("page", {}).get("revision"))
            for p, a in zip(pages, answers, strict=True)
        }
        return {page: revision for page, revision in found.items() if revision}

    def usernames(self, users: Iterable[str]) -> Mapping[str, str]:  # noqa: ARG002 - the protocol's
        """See WikiStore: the lists hold names where the API gives them, and there is no call for many."""
        return {}

    def bodies(self, revisions: Sequence[tuple[str, str]]) -> Mapping[str, str]:
        """See WikiStore: one call a page, some at once."""
        bodies = _at_once(self._body, revisions)
        return {rev: body for (_, rev), body in zip(revisions, bodies, strict=True) if body is not None}

    def attachments(self, pages: Sequence[str]) -> Iterator[Attachment]:
        """See WikiStore."""
        for found in _at_once(self._attachments_of, pages):
            yield from found

    def absent(self, attachments: Sequence[Attachment]) -> frozenset[str]:  # noqa: ARG002
        """See WikiStore: only a download shows it."""
        return frozenset()

    def files(self, attachments: Sequence[Attachment]) -> Iterator[tuple[Attachment, StoredFile | None]]:
        """See WikiStore. Some are asked for at once; small ones are then here already."""
        for at in range(0, len(attachments), _CALLS_AT_ONCE):
            some = attachments[at : at + _CALLS_AT_ONCE]
            yield from zip(some, _at_once(self._file, some), strict=True)

    def checks(self) -> Iterable[Check]:
        """See WikiStore."""
        answer = self._list("/", 1, 1)
        yield Check("api", CheckStatus.OK, f"{self._client.base} lists {answer['totalCount']} pages")
        parts = urlsplit(self._client.base)
        if parts.scheme == "http" and parts.hostname not in _THIS_MACHINE:
            yield Check(
                "encryption", CheckStatus.WARNING, "the access token travels unencrypted; use growi+https://"
            )

    def close(self) -> None:
        """See WikiStore."""
        self._client.close()

    def _read_list(self, path: str, found: dict[str, PageRecord]) -> bool:
        """Read the whole list; False when pages came or went meanwhile, so that some may be missing."""
        total, number, last = None, 1, False
        while not last:
            answer = self._list(path, number, _LIST_LIMIT)
            if total not in {None, answer["totalCount"]}:
                return False
            total = answer["totalCount"]
            last = not self._merge(answer, found) or number * (answer.get("limit") or _LIST_LIMIT) >= total
            number += 1
        return len(found) == total and (number == 2 or self._reread_front(path, found))

    def _reread_front(self, path: str, found: dict[str, PageRecord]) -> bool:
        """Read what was updated while the list was read: it is at the front now, perhaps passed by."""
        size, number = len(found), 1
        while self._merge(self._list(path, number, _LIST_LIMIT), found):
            number += 1
        return len(found) == size

    def _merge(self, answer: Mapping[str, Any], found: dict[str, PageRecord]) -> bool:
        """Take over one page of the list; whether any of it was new."""
        records = [page_record(document) for document in answer["pages"]]
        fresh = any(found.get(record.id) != record for record in records)
        found |= {record.id: record for record in records}
        return fresh

    def _list(self, path: str, number: int, limit: int) -> Any:
        answer = self._client.get("/pages/list", {"path": path, "page": number, "limit": limit})
        if not isinstance(answer, dict) or not isinstance(answer.get("pages"), list):
            raise SourceUnavailable(
                f"{self._client.base} refuses to list pages",
                hint="give an access token with the scope read:features:page in PACKMULE_GROWI_TOKEN",
            )
        return answer

    def _body(self, ids: tuple[str, str]) -> str | None:
        page, revision = ids
        answer = self._client.get("/page", {"pageId": page, "revisionId": revision})
        found = (answer or {}).get("page", {}).get("revision") or {}
        if not isinstance(found, Mapping) or identity(found) != revision:
            return None  # another revision than the frozen one would be another text
        return found["body"] if isinstance(found.get("body"), str) else None

    def _file(self, record: Attachment) -> StoredFile | None:
        return self._client.download(f"/download/{record.id}", small=record.size <= _SMALL_BYTES)

    def _attachments_of(self, page: str) -> list[Attachment]:
        found: list[Attachment] = []
        number = 1
        while True:
            params: dict[str, str | int] = {"pageId": page, "pageNumber": number, "limit": _LIST_LIMIT}
            answer = self._client.get("/attachment/list", params)
            if answer is None:
                raise SourceUnavailable(
                    f"{self._client.base} refuses to list the attachments of page {page}",
                    hint="give a token with the scope read:features:attachment, or --skip attachments",
                )
            docs = answer["paginateResult"]["docs"]
            found += [attachment({"page": page, **document}) for document in docs]
            if len(docs) < _LIST_LIMIT:
                return found
            number += 1


def _at_once(call: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """The answers in order; some calls wait for the wiki at the same time."""
    if len(items) < 2:
        return [call(item) for item in items]
    with ThreadPoolExecutor(_CALLS_AT_ONCE) as pool:
        return list(pool.map(call, items))
