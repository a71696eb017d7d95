"""Which pages an export holds: GROWI's own rules, in one place for every kind of store.

Unlike GROWI's bulk export, the trash and drafts are left out unless asked for, and without a user
every page is exported whatever its grant.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from export_core.sources.growi.options import Options
from export_core.sources.growi.records import PageRecord, Viewer

_SPECIFIED, _OWNER, _GROUP = 3, 4, 5
_PUBLIC = frozenset({None, 1})
TRASH = "/trash"


class LeftOut(StrEnum):
    """Why a page below the exported one is not in the export."""

    EMPTY = "empty"
    """It has no text: only a place in the tree."""
    HIDDEN = "hidden"
    """The user whose rights count may not see it."""
    TRASH = "trash"
    DRAFT = "draft"
    UNREADABLE = "unreadable"
    """The wiki lists it, but does not show it to the owner of the token."""


@dataclass(slots=True)
class Selected:
    """The pages of an export, and how many were left out for which reason."""

    pages: list[PageRecord] = field(default_factory=list)
    left_out: dict[LeftOut, int] = field(default_factory=dict)

    def leave_out(self, reason: LeftOut, count: int = 1) -> None:
        """Count pages that are not exported."""
        self.left_out[reason] = self.left_out.get(reason, 0) + count


def normalise(project: str) -> str:
    """A page path as GROWI writes it: one slash at the beginning, none at the end."""
    return "/" + project.strip("/") if project.strip("/") else "/"


def is_below(path: str, base: str) -> bool:
    """Whether a page is ``base`` itself or below it."""
    return base in {"/", path} or path.startswith(base + "/")


def in_trash(path: str) -> bool:
    """Whether a path is that of the trash or of something in it."""
    return path == TRASH or path.startswith(TRASH + "/")


def roots(base: str, options: Options) -> tuple[str, ...]:
    """The paths to list: the exported page, and its like in the trash when that is wanted."""
    if options.include_trash and base != "/" and not in_trash(base):
        return base, TRASH + base
    return (base,)


def visible(page: PageRecord, viewer: Viewer) -> bool:
    """Whether a bulk export of this user would hold a page, going by its grant."""
    if page.grant in _PUBLIC:
        return True
    if page.grant in {_SPECIFIED, _OWNER}:
        return viewer.user in page.users
    return page.grant == _GROUP and not viewer.groups.isdisjoint(page.groups)


def select(pages: Iterable[PageRecord], base: str, options: Options, viewer: Viewer | None) -> Selected:
    """Keep what belongs in the export, sorted by path. Pages listed twice are kept once."""
    selected, known = Selected(), set[str]()
    for page in pages:
        if page.id in known or not any(is_below(page.path, root) for root in roots(base, options)):
            continue
        known.add(page.id)
        reason = _reason(page, base, options, viewer)
        if reason is None:
            selected.pages.append(page)
        else:
            selected.leave_out(reason)
    selected.pages.sort(key=lambda page: (page.path, page.id))
    return selected


def _reason(page: PageRecord, base: str, options: Options, viewer: Viewer | None) -> LeftOut | None:
    if page.empty:
        return LeftOut.EMPTY
    if not (options.include_trash or in_trash(base)) and (page.deleted or in_trash(page.path)):
        return LeftOut.TRASH
    if page.wip and not options.include_drafts:
        return LeftOut.DRAFT
    if viewer is not None and not visible(page, viewer):
        return LeftOut.HIDDEN
    return None
