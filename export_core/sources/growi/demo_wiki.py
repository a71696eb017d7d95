"""A small wiki in GROWI's own documents: for ``demo --wiki``, and for tests.

It has what a wiki has (pages that are folders, links of every kind, attachments, code), every kind of grant,
the trash, a draft, an old revision keyed by path with CR line ends, and names that hurt file systems.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from export_core.sources.growi.memory import MemoryStore

SITE = "https://wiki.example.com"
_PIXEL = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
USERS = ("admin", "alice", "bob")
INTERNAL_GROUP = "6" * 23 + "1"
EXTERNAL_GROUP = "6" * 23 + "2"

HURTING_NAMES = (
    "/Names/.",
    "/Names/a/..",
    "/Names/" + "long " * 60,
    "/Names/" + "長い名前" * 40,
    "/Names/🎉 party 👨‍👩‍👧",
    "/Names/con",
    "/Names/nul.txt",
    "/Names/dots...",
    "/Names/blank ",
    "/Names/A",
    "/Names/a",
    "/Names/A/below",
    "/Names/a/below",
    "/Names/%2F",
    "/Names/A.md",
    "/Names/A.md/below",
    "/Names/Caf\u00e9",
    "/Names/Cafe\u0301",
    "/Names/what? <why>: *|",
    "/Names/tab\tand\nline",
    "/pages.json/below",
    "/_attachments/below",
    "/_top",
)

_START = (
    "# Demo wiki\n\nBegin in the [sandbox](/Sandbox), or read about [[mathematics>/Sandbox/Math]].\n\n"
    "- [the same by its permanent link]({permanent})\n- [with the wiki's address](https://wiki.example.com/Sandbox)\n"
    "- [elsewhere](https://example.org/Sandbox)\n- [a page that is not there](/Nowhere)\n"
)
_SANDBOX = (
    "# Sandbox\n\n![A pixel](/attachment/{pixel}) and [a note](/download/{note}).\n\n"
    "See [Math](./Sandbox/Math#integrals), [Diagrams](Sandbox/Diagrams), [[./Math]] and [home](/).\n\n"
    "```\n[not a link](/Sandbox/Math)\n```\n\nNor is `[this](/Sandbox/Math)`.\n"
)
_MATH = "# Math\n\n$e^{i\\pi} + 1 = 0$\n\n[up](/Sandbox), [beside](Diagrams)\n"
_DIAGRAMS = (
    '# Diagrams\n\n<img src=\'/attachment/{pixel}\' width="9">\n\n[ref]\n\n[ref]: </Sandbox/Math> "Math"\n'
)


@dataclass(slots=True)
class Wiki:
    """Documents by collection, as MongoDB would give them but with ids as text, and files by name."""

    collections: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    _count: int = 0

    def identity(self) -> str:
        """A new id; the same wiki is the same every time."""
        self._count += 1
        return f"{0x64A000000000000000DEC000 + self._count:024x}"

    def add(self, collection: str, document: Mapping[str, Any]) -> str:
        """Insert a document; its id."""
        known = str(document.get("_id") or self.identity())
        self.collections.setdefault(collection, []).append({**document, "_id": known})
        return known

    def page(self, path: str, body: str | None, **more: Any) -> str:
        """A page with one revision; with no body an empty page. Its id."""
        page = str(more.pop("_id", None) or self.identity())
        times = {"createdAt": self._time(), "updatedAt": self._time()}
        document = {
            "_id": page,
            "path": path,
            "grant": 1,
            "status": "published",
            "wip": False,
            **times,
            **more,
        }
        if body is None:
            return self.add("pages", {**document, "isEmpty": True})
        revision = self.add(
            "revisions", {"pageId": page, "body": body, "format": "markdown", "createdAt": self._time()}
        )
        return self.add("pages", {**document, "isEmpty": False, "revision": revision})

    def attach(self, page: str, name: str, data: bytes) -> str:
        """An attachment with its file; its id."""
        attachment = self.identity()
        stored = f"{attachment}.{name.rpartition('.')[2]}"
        self.contents[stored] = data
        document = {"_id": attachment, "page": page, "originalName": name, "fileName": stored}
        return self.add("attachments", {**document, "fileSize": len(data)})

    def store(self) -> MemoryStore:
        """The wiki as a store."""
        return MemoryStore(self.collections, self.contents, SITE)

    def _time(self) -> str:
        minute, second = divmod(self._count, 60)
        return f"2024-05-01T{minute // 60 % 24:02d}:{minute % 60:02d}:{second:02d}.000Z"


def demo_wiki() -> Wiki:
    """The whole demo wiki."""
    wiki = Wiki()
    users = {name: wiki.add("users", {"username": name, "name": name.title()}) for name in USERS}
    _add_sandbox(wiki, users["alice"])
    _add_restricted(wiki, users)
    _add_old(wiki)
    wiki.page("/Drafts/Plan", "# Plan\n\nNot ready.\n", wip=True)
    wiki.page("/trash/Sandbox/Gone", "# Gone\n", status="deleted")
    wiki.page("/Names", None)
    for path in HURTING_NAMES:
        wiki.page(path, f"The page {path!r}.\n")
    return wiki


def demo_store() -> MemoryStore:
    """The demo wiki as a store."""
    return demo_wiki().store()


def _add_sandbox(wiki: Wiki, author: str) -> None:
    sandbox, math = wiki.identity(), wiki.identity()
    pixel = wiki.attach(sandbox, "pixel 1.png", _PIXEL)
    note = wiki.attach(sandbox, "メモ.txt", "こんにちは\n".encode())
    by = {"creator": author}
    wiki.page("/", _START.format(permanent=f"/{math}"), **by)
    wiki.page("/Sandbox", _SANDBOX.format(pixel=pixel, note=note), _id=sandbox, **by)
    wiki.page("/Sandbox/Math", _MATH, _id=math, **by)
    wiki.page("/Sandbox/Diagrams", _DIAGRAMS.format(pixel=pixel), **by)
    wiki.page("/Sandboxes", "Not below the sandbox, although its name begins so.\n")


def _add_restricted(wiki: Wiki, users: Mapping[str, str]) -> None:
    """A page of each grant: Alice sees her own, the old specified one and both groups'; Bob sees none."""
    alice = [users["alice"]]
    wiki.add("usergrouprelations", {"relatedUser": users["alice"], "relatedGroup": INTERNAL_GROUP})
    wiki.add("externalusergrouprelations", {"relatedUser": users["alice"], "relatedGroup": EXTERNAL_GROUP})
    wiki.page("/Rights", "Everybody.\n", grant=None)
    wiki.page("/Rights/Link", "Who knows the link.\n", grant=2, grantedUsers=alice)
    wiki.page("/Rights/Specified", "Some.\n", grant=3, grantedUsers=alice)
    wiki.page("/Rights/Owner", "Alice.\n", grant=4, grantedUsers=alice)
    inside = [{"type": "UserGroup", "item": INTERNAL_GROUP}]
    outside = [{"type": "ExternalUserGroup", "item": EXTERNAL_GROUP}]
    wiki.page("/Rights/Group", "A group.\n", grant=5, grantedGroups=inside)
    wiki.page("/Rights/External", "A group from elsewhere.\n", grant=5, grantedGroups=outside)


def _add_old(wiki: Wiki) -> None:
    """A page from a GROWI of old: its revisions know its path, and the page does not know its revision."""
    for number, body in enumerate(("First.\r\n", "# Old\r\n\r\nSecond.\rThird.\n")):
        created = f"2018-01-0{number + 1}T00:00:00.000Z"
        wiki.add("revisions", {"path": "/Old", "body": body, "format": "markdown", "createdAt": created})
    wiki.add("pages", {"path": "/Old", "grant": 1, "createdAt": "2018-01-01T00:00:00.000Z"})
