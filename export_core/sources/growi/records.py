"""What every kind of wiki store tells about pages and attachments, and the protocol that stores fulfil."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from export_core.source import Check


@dataclass(frozen=True, slots=True)
class PageRecord:
    """A page as the wiki lists it, before anything is selected."""

    id: str
    path: str
    revision: str | None
    """Id of the newest revision; None in some old wikis, where it must be looked for."""
    empty: bool = False
    grant: int | None = None
    """1 or None public, 2 link only, 3 specified, 4 owner, 5 user group."""
    users: tuple[str, ...] = ()
    """Ids of ``grantedUsers``."""
    groups: tuple[str, ...] = ()
    """Ids of the groups in ``grantedGroups``, internal and external."""
    deleted: bool = False
    wip: bool = False
    created: str | None = None
    """ISO 8601 in UTC, as are all times."""
    updated: str | None = None
    author: str | None = None
    """Id or name of the page's creator."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that belongs to a page."""

    id: str
    page: str
    name: str
    """The name it was uploaded with."""
    size: int
    """In bytes, as the wiki believes it to be."""
    stored: str
    """Its name on the wiki's storage (``fileName``)."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An attachment's bytes: how many there are, and how to read them."""

    size: int
    open: Callable[[], BinaryIO]


@dataclass(frozen=True, slots=True)
class Viewer:
    """Whose rights count: a user and all groups that the user belongs to."""

    user: str
    groups: frozenset[str]


class WikiStore(Protocol):
    """A wiki's data, wherever it is. Not shared between threads.

    All methods raise SourceUnavailable when the store cannot be reached, SourceInterrupted when it went away.
    """

    batch: int
    """How many pages to ask ``bodies`` for at once."""

    def describe(self) -> Mapping[str, Any]:
        """What kind of store it is and which version: plain values without secrets."""
        ...

    def site(self) -> str | None:
        """The wiki's own address, by which its pages link to each other."""
        ...

    def viewer(self, user: str) -> Viewer:
        """A user, by name or id, with all groups. Raises UsageError when there is none."""
        ...

    def pages(self, path: str) -> Iterator[PageRecord]:
        """The page ``path`` and all below it, each once, in any order, with nothing left out."""
        ...

    def unreadable(self, pages: Sequence[PageRecord]) -> frozenset[str]:
        """Ids of those pages that the store lists but will not show."""
        ...

    def latest_revisions(self, pages: Sequence[PageRecord]) -> Mapping[str, str]:
        """Newest revision by page id, for pages whose record names none (revisions keyed by path)."""
        ...

    def usernames(self, users: Iterable[str]) -> Mapping[str, str]:
        """User names by id; unknown ids are left out."""
        ...

    def bodies(self, revisions: Sequence[tuple[str, str]]) -> Mapping[str, str]:
        """Bodies by revision id, for (page id, revision id) pairs; those that are gone are left out."""
        ...

    def attachments(self, pages: Sequence[str]) -> Iterator[Attachment]:
        """The attachments of pages, in any order."""
        ...

    def absent(self, attachments: Sequence[Attachment]) -> frozenset[str]:
        """Ids of attachments whose file is known to be missing. Raises UsageError when the store does not
        know at all where files are kept.
        """
        ...

    def files(self, attachments: Sequence[Attachment]) -> Iterator[tuple[Attachment, StoredFile | None]]:
        """The attachments' files in the order given; None for one that is missing."""
        ...

    def checks(self) -> Iterable[Check]:
        """Look at everything that an export needs."""
        ...

    def close(self) -> None:
        """Give back connections. May be called more than once."""
        ...
