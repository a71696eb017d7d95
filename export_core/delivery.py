"""What the engine asks of an after-export strategy.

A strategy checks its destination before any work, delivers a finished archive, keeps checkpoints so that a
killed delivery resumes, and cleans up after itself when its job is cancelled or removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

from export_core.events import Listener
from export_core.job import Job


class Archive(Protocol):
    """A finished archive: it can be measured and streamed from any offset, and perhaps moved."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    @property
    def sha256(self) -> str:
        """Digest of the whole archive, in hex."""
        ...

    @property
    def file_name(self) -> str:
        """A good file name for it, as GitLab forms them."""
        ...

    @property
    def path(self) -> str | None:
        """Where it lies on the local disk; None when it is only streamed."""
        ...

    def open(self, offset: int = 0) -> BinaryIO:
        """A stream of its bytes from ``offset``. Can be opened many times, from several threads."""
        ...


class Checkpoint(Protocol):
    """A small JSON object kept durably with the job; what it takes to go on after a kill."""

    def load(self) -> dict[str, Any]:
        """The last saved value; empty before the first."""
        ...

    def save(self, value: Mapping[str, Any]) -> None:
        """Replace it, durably."""
        ...


@dataclass(frozen=True, slots=True)
class DeliveryContext:
    """What a strategy gets besides the archive."""

    job: Job
    checkpoint: Checkpoint
    listener: Listener
    check_stop: Callable[[], None]
    """Raises Interrupted or Cancelled; call it between pieces of work."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where the archive is now."""

    destination: str
    """For people, secrets masked."""
    local_path: str | None = None
    """The archive's path when it is (still) a local file, else None."""
    in_store: bool = False
    """Whether that file lies in packmule's own store, and is packmule's to clean."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Strategy's own facts (ETag, new project's id); plain JSON, no secrets."""
    warnings: tuple[str, ...] = ()


class Strategy(Protocol):
    """One way of handing an archive on. Made of a frozen dataclass of options."""

    @property
    def name(self) -> str:
        """Its name on the command line."""
        ...

    @property
    def destination(self) -> str | None:
        """What may be shown of where the archive goes; secrets masked."""
        ...

    @property
    def options(self) -> Mapping[str, Any]:
        """The JSON object from which ``strategies.build(name, options)`` makes it again."""
        ...

    @property
    def wants_file(self) -> bool:
        """False when it can stream the archive without a local file (``--no-local-copy``)."""
        ...

    def check(self, job: Job, expected_size: int | None) -> None:
        """Look at the destination before any work. Raises DestinationUnusable or UsageError."""
        ...

    def deliver(self, archive: Archive, context: DeliveryContext) -> Delivery:
        """Hand the archive on, going on from the checkpoint if there is one. Raises PackmuleError."""
        ...

    def abandon(self, job: Job, checkpoint: Checkpoint) -> None:
        """Remove what an unfinished delivery left at the destination. May be called more than once."""
        ...

    def still_there(self, job: Job) -> bool:
        """Whether what was delivered for a finished job is still at its destination."""
        ...


def iter_blocks(stream: BinaryIO, size: int = 1 << 20) -> Iterator[bytes]:
    """The rest of a stream in blocks."""
    while block := stream.read(size):
        yield block
