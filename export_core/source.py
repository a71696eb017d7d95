"""What the engine asks of a source. A source is added by writing these few classes and naming it in
``export_core/sources/__init__.py``; the engine has no case for any particular source.

The way of a part: ``Snapshot.plan`` cuts the project into parts (by the snapshot alone, never by the number
of workers), a worker's ``Reader`` turns a part into bytes on a ``Sink``, the sink compresses them once into
a segment. Parts, tokens and the source itself are small and picklable, so that a part can be exported on
another machine as well as in another thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, BinaryIO, Protocol, Self, runtime_checkable

from export_core.errors import PackmuleError

PartKey = tuple[str, int]
"""What names a part in its job: relation and number."""


@dataclass(frozen=True, slots=True)
class Part:
    """The slice of a relation that one worker does at one time; the unit of resuming.

    Parts with the same ``member``, next to each other in the plan, form one file of the archive. A part
    with ``member=None`` writes whole files of its own (``Sink.file``). A ``deferred`` part is not read
    into a segment at all: its files go straight from their place into the archive (``Reader.files``).
    """

    relation: str
    number: int
    """Position among the relation's parts, from 0."""
    member: str | None
    payload: Mapping[str, Any] = field(default_factory=dict)
    """What the reader needs to read it: plain JSON values."""
    weight: int = 0
    """Estimated cost in bytes; the heaviest parts are begun first."""
    lines: int | None = None
    """Records it must hold according to the snapshot; checked against what was written."""
    deferred: bool = False

    @property
    def key(self) -> PartKey:
        """Its name in the job."""
        return self.relation, self.number


@dataclass(frozen=True, slots=True)
class Selection:
    """Which relations to export: ``only`` (empty: all) less ``skip``."""

    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()

    def includes(self, relation: str) -> bool:
        """Whether a relation is to be exported."""
        return (not self.only or relation in self.only) and relation not in self.skip


@dataclass(frozen=True, slots=True)
class Plan:
    """All that an export will do, in the order of the archive."""

    parts: tuple[Part, ...]
    directories: tuple[str, ...] = ()
    """Directory members, written first, in this order."""
    warnings: tuple[str, ...] = ()
    relations: tuple[str, ...] = ()
    """Every selected relation, also those without any part, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """One file of a deferred part."""

    name: str
    """Member name in the archive."""
    size: int
    open: Callable[[], BinaryIO]
    sha256: str | None = None
    """Expected digest in hex (LFS objects); checked while the bytes go by."""


class CheckStatus(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of ``packmule doctor``."""

    name: str
    status: CheckStatus
    message: str

    @classmethod
    def failure(cls, name: str, error: PackmuleError) -> Self:
        """What could not even be looked at, and what to do about it."""
        return cls(
            name, CheckStatus.FAILED, f"{error.message}; {error.hint}" if error.hint else error.message
        )


class Sink(Protocol):
    """Where a reader puts a part's bytes. Compression, cutting and checksums happen behind it."""

    def write(self, data: bytes) -> None:
        """Append to the part's member (parts with a ``member``). Any size; need not end at a line."""
        ...

    def file(self, name: str, data: bytes) -> None:
        """Append a whole file with its tar header (parts without a ``member``)."""
        ...

    def lines(self, count: int) -> None:
        """Say that ``count`` more records are in what was written."""
        ...

    def warn(self, message: str) -> None:
        """Record something that the user must know; it is stored with the part."""
        ...

    def check_stop(self) -> None:
        """Raise Interrupted or Cancelled when the job must stop. Called between batches."""
        ...


class Reader(Protocol):
    """One worker's view of a snapshot: its own connections, never shared between threads."""

    def read(self, part: Part, sink: Sink) -> None:
        """Write a part to the sink. Raises PackmuleError; anything else counts as an unexpected fault."""
        ...

    def files(self, part: Part) -> Iterator[ArchiveFile]:
        """The files of a deferred part, in the order of the archive."""
        ...

    def close(self) -> None:
        """Give back connections. May be called more than once."""
        ...


@runtime_checkable
class Cancellable(Protocol):
    """A reader or snapshot that can be told, from another thread, to break off what it waits for."""

    def cancel(self) -> None:
        """Have the running statement, if any, end with SourceInterrupted. Never raises."""
        ...


def cancel(waiting: object) -> None:
    """Break off what a reader or snapshot waits for, if it can be told to."""
    if isinstance(waiting, Cancellable):
        waiting.cancel()


class Snapshot(Protocol):
    """One frozen view of one project of a source."""

    @property
    def token(self) -> str:
        """What a reader needs to join this snapshot, from any thread or machine."""
        ...

    @property
    def taken_at(self) -> str:
        """When it was taken: ISO 8601 in UTC."""
        ...

    @property
    def details(self) -> Mapping[str, Any]:
        """What ``show`` says about it: server version, replica or primary, missing columns."""
        ...

    def plan(self, selection: Selection) -> Plan:
        """Cut the project into parts. The same data gives the same plan, whatever the machine."""
        ...

    def refresh(self, part: Part) -> Part:
        """The same part as this snapshot sees it, for a part planned on an earlier snapshot: its
        expected lines counted anew, its member and place unchanged.
        """
        ...

    def close(self) -> None:
        """Let the snapshot go. May be called more than once."""
        ...


class Source(Protocol):
    """Where projects live. A frozen, picklable value made of settings; it holds no connection."""

    @property
    def name(self) -> str:
        """Its name in config.toml, or what was given on the command line with secrets masked."""
        ...

    @property
    def exact_after_resume(self) -> bool:
        """Whether a later snapshot of the same plan reads the very same data (GROWI revisions)."""
        ...

    def relations(self) -> Sequence[str]:
        """The names that ``--only`` and ``--skip`` understand, in the order in which they are shown."""
        ...

    def open(self, project: str, options: Mapping[str, Any]) -> Snapshot:
        """Freeze a view of a project. ``options`` are the source's own export options (``as_user``,
        ``allow_missing`` ...). Raises NotFound, SourceUnavailable, UsageError.
        """
        ...

    def reopen(self, project: str, options: Mapping[str, Any], details: Mapping[str, Any]) -> Snapshot:
        """Freeze a new view for a resumed job; ``details`` are those of the job's first snapshot."""
        ...

    def reader(self, token: str) -> Reader:
        """A reader on the snapshot named by ``token``. Called in the worker's own thread."""
        ...

    def session(self) -> AbstractContextManager[None]:
        """Keep what the source needs alive while it is used (the embedded server); often nothing."""
        ...

    def checks(self) -> Iterable[Check]:
        """Look at everything that an export needs, for ``doctor``."""
        ...
