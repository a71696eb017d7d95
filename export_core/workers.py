"""Runs a job's parts on worker threads: heaviest first, one reader a thread, stopped by the first error."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass

from export_core.deferred import materialise
from export_core.errors import ExportFailed, PackmuleError, RelationFailed, SourceInterrupted
from export_core.segment import Segment, SegmentWriter, seal_segment
from export_core.source import Part, Reader, cancel
from export_core.worker_pool import Turn, WorkerPool
from export_core.workspace import Workspace

# Else stamina's retries appear on stderr, where nobody understands them.
logging.getLogger("stamina").addHandler(logging.NullHandler())

_ATTEMPTS = 3
"""A worker's own connection may break while the snapshot still stands; then another can join it."""

_SMALL = 100_000
"""Bytes below which a part is done at once, whatever it is."""


@dataclass(frozen=True, slots=True)
class PartWork:
    """What a worker needs besides the part. Small and picklable but for ``check_stop``."""

    workspace: Workspace
    level: int
    mtime: int
    check_stop: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Finished:
    """A part that was read, with its segment, which is sealed before ``PartWorkers.run`` yields it."""

    part: Part
    segment: Segment
    seconds: float


def export_part(reader: Reader, part: Part, work: PartWork) -> Segment:
    """Read a part into a segment, which has still to be sealed.

    Raises RelationFailed when it holds other lines than it must.
    """
    writer = SegmentWriter(
        work.workspace,
        part.relation,
        part.number,
        level=work.level,
        mtime=work.mtime,
        check_stop=work.check_stop,
    )
    with writer:
        if part.deferred:
            materialise(part, reader, writer, mtime=work.mtime)
        else:
            reader.read(part, writer)
            _check_lines(part, writer.line_count)
        return writer.close()


def _check_lines(part: Part, lines: int) -> None:
    if part.lines is not None and lines != part.lines:
        raise RelationFailed(
            part.relation,
            f"the snapshot has {part.lines} records, {lines} were read",
            part=part.number,
            hint="nothing was delivered; run packmule resume, and report this if it comes again",
        )


class PartWorkers:
    """A job's readers in the pool's threads. ``open_reader`` is called in the worker's own thread."""

    def __init__(
        self, pool: WorkerPool, open_reader: Callable[[], Reader], on_start: Callable[[Part], None]
    ) -> None:
        self._pool = pool
        self._open_reader = open_reader
        self._on_start = on_start
        self._local = threading.local()
        self._readers: list[Reader] = []
        self._failed = threading.Event()

    def run(self, parts: Sequence[Part], work: PartWork) -> Iterator[Finished]:
        """Export parts, yielding each as it is durable.

        The first error stops the others; it is raised when all have ended and every part that was finished
        nevertheless has been yielded, so that none is done twice.
        """
        inner = PartWork(work.workspace, work.level, work.mtime, lambda: self._check(work.check_stop))
        ordered = sorted(parts, key=_turn)
        futures = [self._pool.submit(_turn(part), self._export, part, inner) for part in ordered]
        try:
            yield from self._collect(futures, work.workspace)
        finally:
            self._failed.set()
            _settle(futures)
            self._close()

    def interrupt(self) -> None:
        """Break off what the readers wait for, where they can; from any thread."""
        for reader in tuple(self._readers):
            cancel(reader)

    def _collect(self, futures: Sequence[Future[Finished]], workspace: Workspace) -> Iterator[Finished]:
        errors: list[BaseException] = []
        for future in as_completed(futures):
            if future.cancelled():
                continue
            error = future.exception() or _sealed(workspace, future.result().segment)
            if error is None:
                yield future.result()
                continue
            errors.append(error)
            self._failed.set()
            for other in futures:
                other.cancel()
        if errors:
            raise next((error for error in errors if not isinstance(error, _Halted)), errors[0])

    def _check(self, check_stop: Callable[[], None]) -> None:
        check_stop()
        if self._failed.is_set():
            raise _Halted("another part failed")

    def _export(self, part: Part, work: PartWork) -> Finished:
        work.check_stop()
        self._on_start(part)
        begun = time.monotonic()
        try:
            segment = self._try(part, work)
        except SourceInterrupted:
            segment = self._retry(part, work)
        return Finished(part, segment, time.monotonic() - begun)

    def _retry(self, part: Part, work: PartWork) -> Segment:
        import stamina  # only when it is needed: importing it costs a hundredth of a second

        for attempt in stamina.retry_context(
            on=SourceInterrupted, attempts=_ATTEMPTS - 1, wait_initial=0.2, wait_max=2.0, timeout=None
        ):
            with attempt:
                segment = self._try(part, work)
        return segment

    def _try(self, part: Part, work: PartWork) -> Segment:
        try:
            return export_part(self._reader(), part, work)
        except SourceInterrupted:
            self._forget_reader()
            work.check_stop()
            raise
        except PackmuleError:
            raise
        except Exception as exc:
            said = f"{type(exc).__name__}: {exc}".splitlines()[0]
            raise RelationFailed(part.relation, said, part=part.number) from exc

    def _reader(self) -> Reader:
        reader: Reader | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._local.reader = self._open_reader()
            self._readers.append(reader)
        return reader

    def _forget_reader(self) -> None:
        reader = getattr(self._local, "reader", None)
        self._local.reader = None
        if reader is not None:
            self._readers.remove(reader)
            reader.close()

    def _close(self) -> None:
        while self._readers:
            self._readers.pop().close()


def _turn(part: Part) -> Turn:
    """Where a part stands in the queue, among those of other jobs, too: whole things such as bundles first,
    then the heaviest.

    What has no lines to count cannot be cut into parts either, and waits for another process or for a disk:
    begun last, it would be the tail.
    """
    return part.lines is not None or part.weight < _SMALL, -part.weight


class _Halted(ExportFailed):
    """A part that was stopped because another one failed; never shown."""


def _sealed(workspace: Workspace, segment: Segment) -> ExportFailed | None:
    """Seal a segment here, in the caller's thread; what went wrong counts as an error of its part."""
    try:
        seal_segment(workspace, segment)
    except ExportFailed as exc:
        return exc
    return None


def _settle(futures: Sequence[Future[Finished]]) -> None:
    """Cancel what has not begun and wait for what has."""
    for future in futures:
        future.cancel()
    for future in futures:
        if not future.cancelled():
            future.exception()
