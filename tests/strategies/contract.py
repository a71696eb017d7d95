"""The contract that every strategy keeps. A strategy's test module gives a ``case`` fixture and subclasses
``StrategyContract``; what only one strategy does is tested beside it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import pytest
import stamina

import strategies
from export_core.delivery import Delivery, DeliveryContext, Strategy
from export_core.errors import Cancelled, DestinationUnusable, UsageError
from export_core.events import BytesMoved, Event, Listener
from export_core.job import ArchiveInfo, Job, JobRequest, JobStatus, Phase
from strategies.surroundings import Surroundings


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the product may catch it and go on."""


@dataclass
class FileArchive:
    """An archive in a job's work directory. ``path`` may be gone after it was moved."""

    file: Path
    data: bytes
    file_name: str = "2024-05-01_10-00-000_group_project_export.tar.gz"

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def path(self) -> str | None:
        return str(self.file)

    def open(self, offset: int = 0) -> BinaryIO:
        stream = self.file.open("rb")
        stream.seek(offset)
        return stream


@dataclass
class StreamedArchive:
    """An archive without a file, as with ``--no-local-copy``."""

    data: bytes
    file_name: str = "2024-05-01_10-00-000_group_project_export.tar.gz"
    path: str | None = None

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    def open(self, offset: int = 0) -> BinaryIO:
        return io.BytesIO(self.data[offset:])


@dataclass
class MemoryCheckpoint:
    """A checkpoint that survives a kill, and refuses what the job store could not keep."""

    value: dict[str, Any] = field(default_factory=dict)
    saves: int = 0

    def load(self) -> dict[str, Any]:
        return dict(self.value)

    def save(self, value: Mapping[str, Any]) -> None:
        self.value = json.loads(json.dumps(dict(value)))
        self.saves += 1


@dataclass
class Events:
    """A listener that remembers."""

    seen: list[Event] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        self.seen.append(event)

    @property
    def moved(self) -> list[BytesMoved]:
        return [event for event in self.seen if isinstance(event, BytesMoved)]


def make_job(archive: ArchiveInfo | None = None, **changes: Any) -> Job:
    """A started job that is delivering."""
    job = Job(
        id=7,
        request=JobRequest(project="group/project", source="embedded"),
        status=JobStatus.STARTED,
        phase=Phase.DELIVERING,
        created_at="2024-05-01T10:00:00.000Z",
        started_at="2024-05-01T10:00:01.000Z",
        archive=archive,
    )
    return replace(job, **changes)


def context(
    checkpoint: MemoryCheckpoint | None = None,
    listener: Listener = lambda _event: None,
    check_stop: Callable[[], None] = lambda: None,
    job: Job | None = None,
) -> DeliveryContext:
    """A delivery's context with what a test does not care about filled in."""
    return DeliveryContext(job or make_job(), checkpoint or MemoryCheckpoint(), listener, check_stop)


def raise_at(number: int, error: BaseException) -> Callable[..., None]:
    """A callable that raises at its ``number``-th call, from 1, and at no other."""
    calls = iter(range(1, 1 << 30))

    def call(*_args: object) -> None:
        if next(calls) == number:
            raise error

    return call


class Case(Protocol):
    """One strategy with a destination under the test's control."""

    surroundings: Surroundings
    secrets: tuple[str, ...]
    """What was planted in URLs, headers and the environment; must never be seen."""

    def strategy(self) -> Strategy:
        """The strategy set for a good destination."""
        ...

    def archive(self) -> FileArchive:
        """A finished archive of a few MiB; every call gives the same one."""
        ...

    def unusable(self) -> Strategy:
        """The strategy set for a destination that it must refuse before any work."""
        ...

    def fail_once(self) -> None:
        """Let the destination fail the next time, in a way that passes."""
        ...

    def recover(self) -> None:
        """End the failure of ``fail_once``, where it does not end by itself."""
        ...

    def fail_for_good(self) -> None:
        """Let the destination refuse every time from now on."""
        ...

    def delivered(self) -> bytes | None:
        """What is at the destination, whole; None when nothing is there."""
        ...

    def leftovers(self) -> list[str]:
        """What lies at the destination besides a whole archive: half files, open uploads."""
        ...


class StrategyContract:
    """Subclass it in a test module that has a ``case`` fixture."""

    @pytest.fixture(autouse=True)
    def _no_waiting(self) -> Iterator[None]:
        with stamina.set_testing(True, attempts=4):
            yield

    def test_its_options_are_json_and_make_it_again(self, case: Case) -> None:
        strategy = case.strategy()
        stored = json.loads(json.dumps(dict(strategy.options)))
        again = strategies.build(strategy.name, stored, case.surroundings)
        assert again.options == strategy.options
        assert again.destination == strategy.destination

    def test_success(self, case: Case) -> None:
        archive, events, strategy = case.archive(), Events(), case.strategy()
        strategy.check(make_job(), archive.size)
        delivery = strategy.deliver(archive, context(listener=events))
        assert case.delivered() == archive.data
        assert case.leftovers() == []
        if delivery.local_path is not None:
            assert Path(delivery.local_path).read_bytes() == archive.data
        done = [event.done for event in events.moved]
        assert all(event.phase == "delivering" and event.total == archive.size for event in events.moved)
        assert done == sorted(done)
        assert not done or done[-1] == archive.size

    def test_checking_leaves_nothing_at_the_destination(self, case: Case) -> None:
        case.strategy().check(make_job(), 1000)
        assert case.delivered() is None
        assert case.leftovers() == []

    def test_refusal_up_front(self, case: Case) -> None:
        with pytest.raises((DestinationUnusable, UsageError)) as refused:
            case.unusable().check(make_job(), 1000)
        assert refused.value.hint
        assert case.delivered() is None

    def test_a_passing_failure_then_success(self, case: Case) -> None:
        """Within one delivery, or by resuming with the same checkpoint."""
        archive, checkpoint, strategy = case.archive(), MemoryCheckpoint(), case.strategy()
        case.fail_once()
        try:
            strategy.deliver(archive, context(checkpoint))
        except DestinationUnusable:
            assert case.delivered() is None
            assert archive.file.read_bytes() == archive.data
            case.recover()
            strategy.deliver(archive, context(checkpoint))
        assert case.delivered() == archive.data
        assert case.leftovers() == []

    def test_a_permanent_failure_keeps_the_archive(self, case: Case) -> None:
        archive, strategy = case.archive(), case.strategy()
        case.fail_for_good()
        with pytest.raises(DestinationUnusable) as failed:
            strategy.deliver(archive, context())
        assert failed.value.hint
        assert archive.file.read_bytes() == archive.data
        assert case.delivered() is None

    @pytest.mark.parametrize("point", ["first look", "third look", "first bytes", "checkpoint", "unrecorded"])
    def test_killed_and_resumed(self, case: Case, point: str) -> None:
        """Wherever it is killed, also after all was done but before the job knew, resuming completes it."""
        archive, checkpoint, strategy = case.archive(), MemoryCheckpoint(), case.strategy()
        with contextlib.suppress(Killed):
            strategy.deliver(archive, _killed_at(point, checkpoint))
        delivery = strategies.build(strategy.name, strategy.options, case.surroundings).deliver(
            archive, context(checkpoint)
        )
        assert isinstance(delivery, Delivery)
        assert case.delivered() == archive.data
        assert case.leftovers() == []

    @pytest.mark.parametrize("look", [1, 2, 3])
    def test_cancelled(self, case: Case, look: int) -> None:
        archive, checkpoint, strategy = case.archive(), MemoryCheckpoint(), case.strategy()
        stop = raise_at(look, Cancelled("job 7 was cancelled"))
        try:
            strategy.deliver(archive, context(checkpoint, check_stop=stop))
        except Cancelled:
            strategy.abandon(make_job(), checkpoint)
            strategy.abandon(make_job(), checkpoint)
            assert case.delivered() is None
        assert case.leftovers() == []

    def test_no_secret_is_shown(self, case: Case) -> None:
        archive, strategy = case.archive(), case.strategy()
        delivery = strategy.deliver(archive, context(job=make_job()))
        shown = [repr(delivery), repr(strategy), str(strategy.destination), str(case.unusable().destination)]
        case.fail_for_good()
        again = case.archive()
        again.file.write_bytes(again.data)
        with pytest.raises(DestinationUnusable) as failed:
            strategy.deliver(again, context(MemoryCheckpoint()))
        shown += [failed.value.message, str(failed.value.hint), _chain(failed.value)]
        assert [secret for secret in case.secrets if any(secret in text for text in shown)] == []


def _killed_at(point: str, checkpoint: MemoryCheckpoint) -> DeliveryContext:
    kill = Killed()
    match point:
        case "first look":
            return context(checkpoint, check_stop=raise_at(1, kill))
        case "third look":
            return context(checkpoint, check_stop=raise_at(3, kill))
        case "first bytes":
            return context(checkpoint, listener=raise_at(1, kill))
        case "checkpoint":
            return context(_KilledWhileSaving(checkpoint))  # type: ignore[arg-type]
        case _:
            return context(checkpoint)


@dataclass
class _KilledWhileSaving:
    """Saves, and is killed before anything is done with that."""

    inner: MemoryCheckpoint

    def load(self) -> dict[str, Any]:
        return self.inner.load()

    def save(self, value: Mapping[str, Any]) -> None:
        self.inner.save(value)
        raise Killed


def _chain(error: BaseException) -> str:
    """All that ``--debug`` would show of an error."""
    return "".join(traceback.format_exception(error))
