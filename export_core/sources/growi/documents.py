"""GROWI's documents (MongoDB's, and the same as JSON from its REST API) as records."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from export_core.errors import SourceUnavailable
from export_core.sources.growi.records import Attachment, PageRecord
from export_core.timestamps import to_text

Document = Mapping[str, Any]

PAGE_FIELDS = (
    *("path", "revision", "isEmpty", "grant", "grantedUsers", "grantedGroups", "grantedGroup"),
    *("status", "wip", "createdAt", "updatedAt", "creator"),
)
"""The fields of a page that are used, for projections."""


def identity(value: object) -> str | None:
    """The id in a reference: an id as it is, or a populated document."""
    if isinstance(value, Mapping):
        value = value.get("_id", value.get("id"))
    return None if value is None else str(value)


def timestamp(value: object) -> str | None:
    """A date as ISO 8601 in UTC with milliseconds, which is MongoDB's precision."""
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        return to_text(moment)
    return None if value is None else str(value)


def page_record(document: Document) -> PageRecord:
    """A page document. Raises SourceUnavailable for one without path."""
    page, path = identity(document), document.get("path")
    if page is None or not isinstance(path, str):
        raise SourceUnavailable(
            f"the wiki has a page without path or id ({page})", hint="is this GROWI's data?"
        )
    grant = document.get("grant")
    return PageRecord(
        id=page,
        path=path,
        revision=identity(document.get("revision")),
        empty=bool(document.get("isEmpty")),
        grant=None if grant is None else int(grant),
        users=_identities(document.get("grantedUsers")),
        groups=_groups(document),
        deleted=document.get("status") == "deleted",
        wip=bool(document.get("wip")),
        created=timestamp(document.get("createdAt")),
        updated=timestamp(document.get("updatedAt")),
        author=_author(document.get("creator")),
    )


def attachment(document: Document) -> Attachment:
    """An attachment document."""
    stored = str(document.get("fileName") or "")
    return Attachment(
        id=identity(document) or "",
        page=identity(document.get("page")) or "",
        name=str(document.get("originalName") or stored or "attachment"),
        size=int(document.get("fileSize") or 0),
        stored=stored,
    )


def _identities(values: object) -> tuple[str, ...]:
    found = [identity(value) for value in values] if isinstance(values, list | tuple) else []
    return tuple(one for one in found if one is not None)


def _groups(document: Document) -> tuple[str, ...]:
    """Granted groups: a list of ``{type, item}``; before GROWI 7 one ``grantedGroup``."""
    groups = document.get("grantedGroups") or []
    items = [group.get("item") if isinstance(group, Mapping) else group for group in groups]
    if document.get("grantedGroup") is not None:
        items.append(document["grantedGroup"])
    return _identities(items)


def _author(creator: object) -> str | None:
    if isinstance(creator, Mapping) and creator.get("username"):
        return str(creator["username"])
    return identity(creator)
