"""Ids of loaded rows: one offset for every id that an archive tells, fresh ones beyond for all others.

Many archives live in one instance. An archived id v becomes v + offset, whatever it names (user, project,
pipeline), so renumbering is one to one and the same everywhere. The offset is the greatest id that the
instance ever gave out.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from export_core.archive_reader import Extracted
from export_core.errors import ArchiveInvalid
from export_core.gitlab.layout import relation_member
from export_core.gitlab.tree import RELATIONS, Node

if TYPE_CHECKING:
    import psycopg

# In JSON text a quote inside a string is escaped, so that this finds keys only.
_ID = re.compile(rb'[_"]id":\s?(\d+)')
_COMMIT_ID = re.compile(rb'"commit_id":\s?(\d+)')
_LARGEST = 1 << 61
_LOCK = 0x6C6F6164
"""Key of the advisory lock under which ids are given out ("load")."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What must be known of an archive before its first row is made."""

    largest: int
    """The largest id in it."""
    project_id: int | None
    pipelines: tuple[int | None, ...]
    """For each line of ci_pipelines, the pipeline's id as its jobs tell it."""


def scan(archive: Extracted) -> Scan:
    """Look through all relations for ids; much faster than parsing them. Raises ArchiveInvalid."""
    largest, project_id = 0, None
    pipelines: list[int | None] = []
    for node in RELATIONS:
        path = archive.file(relation_member(node.name))
        if path is None:
            continue
        with path.open("rb", buffering=1 << 20) as file:
            for line in file:
                largest = max(largest, *map(int, _ID.findall(line)), 0)
                if project_id is None:
                    project_id = _project_id(node, line)
                if node.name == "ci_pipelines":
                    told = _COMMIT_ID.search(line)
                    pipelines.append(int(told[1]) if told else None)
    if largest > _LARGEST:
        raise ArchiveInvalid(
            f"the archive holds an id that no GitLab gives out: {largest}", hint="take another archive"
        )
    return Scan(largest, project_id, tuple(pipelines))


def _project_id(node: Node, line: bytes) -> int | None:
    if node.child_key not in node.attributes:
        return None
    try:
        found = json.loads(line)
    except ValueError:  # told by the loader, with its place
        return None
    value = found.get(node.child_key) if isinstance(found, dict) else None
    return value if isinstance(value, int) and value > 0 else None


@dataclass(slots=True)
class Ids:
    """Gives ids to the rows of one import."""

    offset: int
    first: int
    """The first fresh id."""
    users: set[int] = field(default_factory=set)
    """New ids of all users that something refers to."""
    groups: set[int] = field(default_factory=set)
    jobs: dict[int, int] = field(default_factory=dict)
    """Archived ``commit_id`` of jobs -> pipeline, where pipelines had to be numbered anew."""
    _fresh: Any = None

    def __post_init__(self) -> None:
        self._fresh = count(self.first)

    def new(self) -> int:
        """An id that nothing has yet; later ones are larger."""
        fresh: int = next(self._fresh)
        return fresh

    def shift(self, value: int) -> int:
        """The new id for an archived one; GitLab's built-in ids (0 and below) stay."""
        return value + self.offset if value > 0 else value

    def user(self, value: int) -> int:
        """The same for a user's id."""
        shifted = self.shift(value)
        self.users.add(shifted)
        return shifted

    def group(self, value: int) -> int:
        """The same for a namespace's id."""
        shifted = self.shift(value)
        self.groups.add(shifted)
        return shifted

    def pipeline(self, value: int) -> int:
        """The same for the pipeline of a job."""
        return self.jobs.get(value) or self.shift(value)


def reserve(connection: psycopg.Connection[Any], largest: int) -> Ids:
    """Take a range of ids for an archive whose largest is known; other imports wait until this one ends."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    row = connection.execute("SELECT coalesce(max(last_value), 0) FROM pg_sequences").fetchone()
    offset = int(row[0]) if row else 0
    advance(connection, offset + largest)
    return Ids(offset, offset + largest + 1)


def advance(connection: psycopg.Connection[Any], last: int) -> None:
    """Let every sequence go on behind ``last``. It outlives a rollback, which leaves numbers unused."""
    connection.execute(
        "SELECT setval(format('%%I.%%I', schemaname, sequencename)::regclass, %s) FROM pg_sequences"
        " WHERE coalesce(last_value, 0) < %s",
        (max(last, 1), max(last, 1)),
    )


def pipeline_ids(told: tuple[int | None, ...], ids: Ids) -> list[int]:
    """An id for each pipeline in the order of its lines: as its jobs tell it, if the order allows that."""
    known = [value + ids.offset for value in told if value is not None]
    if known == sorted(set(known)):
        filled = _filled([None if value is None else value + ids.offset for value in told], ids)
        if filled is not None:
            return filled
    numbers = [ids.new() for _ in told]
    for value, number in zip(told, numbers, strict=True):
        if value is not None:
            ids.jobs.setdefault(value, number)
    return numbers


def _filled(wanted: list[int | None], ids: Ids) -> list[int] | None:
    """Numbers for the gaps, so that all ascend; None when a gap is too narrow."""
    last_told = max((place for place, value in enumerate(wanted) if value is not None), default=-1)
    filled: list[int] = []
    previous = ids.offset
    for place, told in enumerate(wanted):
        value = told or (previous + 1 if place < last_told else ids.new())
        if value <= previous:
            return None
        filled.append(value)
        previous = value
    return filled
