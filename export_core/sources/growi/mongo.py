"""GROWI's MongoDB as a wiki store: metadata, bodies and attachments in bulk queries."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export_core.errors import UsageError
from export_core.source import Check, CheckStatus
from export_core.sources.growi.documents import PAGE_FIELDS, attachment, identity, page_record
from export_core.sources.growi.mongo_client import default_database, in_chunks, object_ids, translated
from export_core.sources.growi.mongo_files import MongoFiles
from export_core.sources.growi.records import Attachment, PageRecord, StoredFile, Viewer

if TYPE_CHECKING:
    from pymongo import MongoClient


class MongoStore:
    """A wiki in MongoDB. ``uploads`` is the directory of a wiki that keeps attachments in files."""

    batch = 250

    def __init__(
        self,
        connect: Callable[[], MongoClient[dict[str, Any]]],
        *,
        database: str | None = None,
        uploads: str | None = None,
        site: str | None = None,
    ) -> None:
        self._client = connect()
        with translated():
            self._database = default_database(self._client, database)
        self._files = MongoFiles(self._database, Path(uploads) if uploads else None)
        self._site = site

    def describe(self) -> Mapping[str, Any]:
        """See WikiStore."""
        with translated():
            version = self._client.server_info()["version"]
        return {"kind": "mongodb", "server_version": version, "database": self._database.name}

    def site(self) -> str | None:
        """See WikiStore. GROWI keeps its settings as JSON texts."""
        if self._site is None:
            with translated():
                setting = self._database["configs"].find_one({"key": "app:siteUrl"})
            try:
                value = json.loads(setting["value"]) if setting else None
            except (TypeError, ValueError):
                value = None
            self._site = value if isinstance(value, str) else ""
        return self._site.rstrip("/") or None

    def viewer(self, user: str) -> Viewer:
        """See WikiStore."""
        with translated():
            found = self._database["users"].find_one(
                {"$or": [{"username": user}, {"_id": {"$in": object_ids([user])}}]}, {"_id": 1}
            )
            if found is None:
                raise UsageError(f"the wiki has no user {user!r}", hint="--as-user takes a user name or id")
            groups = [
                str(relation["relatedGroup"])
                for name in ("usergrouprelations", "externalusergrouprelations")
                for relation in self._database[name].find({"relatedUser": found["_id"]}, {"relatedGroup": 1})
            ]
        return Viewer(str(found["_id"]), frozenset(groups))

    def pages(self, path: str) -> Iterator[PageRecord]:
        """See WikiStore. A range of paths, not a pattern, finds what is below: "0" follows "/"."""
        below = {"path": {"$gte": f"{path}/", "$lt": f"{path}0"}}
        query: dict[str, Any] = {} if path == "/" else {"$or": [{"path": path}, below]}
        with translated():
            yield from map(page_record, self._database["pages"].find(query, PAGE_FIELDS))

    def unreadable(self, pages: Sequence[PageRecord]) -> frozenset[str]:  # noqa: ARG002 - the protocol's
        """See WikiStore: a database shows everything."""
        return frozenset()

    def latest_revisions(self, pages: Sequence[PageRecord]) -> Mapping[str, str]:
        """See WikiStore. ``pageId`` came with GROWI 5; older revisions know only the path."""
        found: dict[str, str] = {}
        for some in in_chunks(pages):
            by_id, by_path = {p.id: p.id for p in some}, {p.path: p.id for p in some}
            query = {
                "$or": [
                    {"pageId": {"$in": object_ids(by_id)}},
                    {"pageId": None, "path": {"$in": list(by_path)}},
                ]
            }
            with translated():
                cursor = self._database["revisions"].find(query, ["pageId", "path", "createdAt"])
                for revision in cursor.sort([("createdAt", 1), ("_id", 1)]):
                    owner = by_id.get(identity(revision.get("pageId")) or "") or by_path[revision["path"]]
                    found[owner] = str(revision["_id"])
        return found

    def usernames(self, users: Iterable[str]) -> Mapping[str, str]:
        """See WikiStore."""
        found: dict[str, str] = {}
        for some in in_chunks(sorted(set(users))):
            with translated():
                cursor = self._database["users"].find({"_id": {"$in": object_ids(some)}}, ["username"])
                found |= {str(user["_id"]): str(user["username"]) for user in cursor if user.get("username")}
        return found

    def bodies(self, revisions: Sequence[tuple[str, str]]) -> Mapping[str, str]:
        """See WikiStore: one query."""
        ids = object_ids(revision for _, revision in revisions)
        with translated():
            cursor = self._database["revisions"].find({"_id": {"$in": ids}}, {"body": 1})
            return {str(r["_id"]): r["body"] for r in cursor if isinstance(r.get("body"), str)}

    def attachments(self, pages: Sequence[str]) -> Iterator[Attachment]:
        """See WikiStore."""
        for some in in_chunks(pages):
            with translated():
                cursor = self._database["attachments"].find({"page": {"$in": object_ids(some)}})
                yield from map(attachment, cursor)

    def absent(self, attachments: Sequence[Attachment]) -> frozenset[str]:
        """See WikiStore."""
        return self._files.absent(attachments)

    def files(self, attachments: Sequence[Attachment]) -> Iterator[tuple[Attachment, StoredFile | None]]:
        """See WikiStore."""
        return self._files.files(attachments)

    def checks(self) -> Iterable[Check]:
        """See WikiStore."""
        with translated():
            version = self._client.server_info()["version"]
            yield Check("server", CheckStatus.OK, f"MongoDB {version}, database {self._database.name}")
            for name in ("pages", "revisions"):
                count = self._database[name].estimated_document_count()
                status = CheckStatus.OK if count else CheckStatus.FAILED
                yield Check(name, status, f"{count} documents in {self._database.name}.{name}")
            yield self._files.check()

    def close(self) -> None:
        """See WikiStore."""
        self._client.close()
