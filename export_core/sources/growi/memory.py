"""A wiki held in memory: the demo, tests and benchmarks. Its documents are GROWI's, with ids as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from io import BytesIO
from typing import Any

from export_core.errors import UsageError
from export_core.source import Check, CheckStatus
from export_core.sources.growi.documents import attachment, identity, page_record
from export_core.sources.growi.pages import is_below
from export_core.sources.growi.records import Attachment, PageRecord, StoredFile, Viewer

Collections = Mapping[str, Sequence[Mapping[str, Any]]]


class MemoryStore:
    """A store over documents by collection; ``contents`` are the attachments' bytes by ``fileName``."""

    batch = 250

    def __init__(
        self, collections: Collections, contents: Mapping[str, bytes], site: str | None = None
    ) -> None:
        self._collections = collections
        self._contents = contents
        self._site = site
        self._bodies = {str(r["_id"]): r["body"] for r in collections.get("revisions", ())}

    def describe(self) -> Mapping[str, Any]:
        """See WikiStore."""
        return {"kind": "memory"}

    def site(self) -> str | None:
        """See WikiStore."""
        return self._site

    def viewer(self, user: str) -> Viewer:
        """See WikiStore."""
        for document in self._collections.get("users", ()):
            if user in {document["username"], str(document["_id"])}:
                return Viewer(str(document["_id"]), self._groups(str(document["_id"])))
        raise UsageError(f"the wiki has no user {user!r}", hint="--as-user takes a user name or id")

    def pages(self, path: str) -> Iterator[PageRecord]:
        """See WikiStore."""
        records = map(page_record, self._collections["pages"])
        return (page for page in records if is_below(page.path, path))

    def unreadable(self, pages: Sequence[PageRecord]) -> frozenset[str]:  # noqa: ARG002 - the protocol's
        """See WikiStore."""
        return frozenset()

    def latest_revisions(self, pages: Sequence[PageRecord]) -> Mapping[str, str]:
        """See WikiStore."""
        wanted = {page.id: page.id for page in pages} | {page.path: page.id for page in pages}
        found: dict[str, str] = {}
        for revision in sorted(self._collections["revisions"], key=lambda r: str(r["createdAt"])):
            key = identity(revision.get("pageId")) or revision.get("path")
            if key in wanted:
                found[wanted[key]] = str(revision["_id"])
        return found

    def usernames(self, users: Iterable[str]) -> Mapping[str, str]:
        """See WikiStore."""
        wanted = set(users)
        known = {str(u["_id"]): u["username"] for u in self._collections.get("users", ())}
        return {user: known[user] for user in wanted & known.keys()}

    def bodies(self, revisions: Sequence[tuple[str, str]]) -> Mapping[str, str]:
        """See WikiStore."""
        return {revision: self._bodies[revision] for _, revision in revisions if revision in self._bodies}

    def attachments(self, pages: Sequence[str]) -> Iterator[Attachment]:
        """See WikiStore."""
        wanted = set(pages)
        records = map(attachment, self._collections.get("attachments", ()))
        return (record for record in records if record.page in wanted)

    def absent(self, attachments: Sequence[Attachment]) -> frozenset[str]:
        """See WikiStore."""
        return frozenset(a.id for a in attachments if a.stored not in self._contents)

    def files(self, attachments: Sequence[Attachment]) -> Iterator[tuple[Attachment, StoredFile | None]]:
        """See WikiStore."""
        for record in attachments:
            data = self._contents.get(record.stored)
            yield record, None if data is None else StoredFile(len(data), partial(BytesIO, data))

    def checks(self) -> Iterable[Check]:
        """See WikiStore."""
        return [Check("wiki", CheckStatus.OK, f"{len(self._collections['pages'])} pages in memory")]

    def close(self) -> None:
        """See WikiStore."""

    def _groups(self, user: str) -> frozenset[str]:
        names = "usergrouprelations", "externalusergrouprelations"
        relations = [r for name in names for r in self._collections.get(name, ())]
        return frozenset(str(r["relatedGroup"]) for r in relations if str(r["relatedUser"]) == user)
