"""What the engine relies on in every source. A source's test module subclasses ``SourceContract`` and gives a
``case``; see ``test_contract.py``.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from export_core.errors import Interrupted, NotFound
from export_core.source import Part, Plan, Reader, Selection, Snapshot, Source

THREADS = 4


@dataclass(frozen=True)
class Case:
    """A source with a project that has records in more than one relation."""

    source: Source
    project: str
    options: dict[str, Any] = field(default_factory=dict)
    unknown: str = "no/such/project"
    secrets: tuple[str, ...] = ()
    """Texts that must not show in names, plans or representations."""


@dataclass
class CollectingSink:
    """Keeps what a reader writes; stops it after so many asks when told."""

    part: Part
    stop_after: int | None = None
    written: bytes = b""
    files: list[tuple[str, bytes]] = field(default_factory=list)
    count: int = 0
    warnings: list[str] = field(default_factory=list)
    asked: int = 0

    def write(self, data: bytes) -> None:
        assert self.part.member is not None, "write() belongs to parts with a member"
        self.written += data

    def file(self, name: str, data: bytes) -> None:
        assert self.part.member is None, "file() belongs to parts without a member"
        self.files.append((name, bytes(data)))

    def lines(self, count: int) -> None:
        self.count += count

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def check_stop(self) -> None:
        self.asked += 1
        if self.stop_after is not None and self.asked > self.stop_after:
            raise Interrupted("stopped by the test")


@dataclass(frozen=True)
class Content:
    """What a part gives: its bytes, its files as (name, content), its records."""

    written: bytes
    files: tuple[tuple[str, bytes], ...]
    lines: int | None


def content_of(reader: Reader, part: Part) -> Content:
    """All that a part gives, whether it is read or its files are deferred."""
    if not part.deferred:
        sink = CollectingSink(part)
        reader.read(part, sink)
        return Content(sink.written, tuple(sink.files), sink.count)
    files = []
    for file in reader.files(part):
        with file.open() as stream:
            data = stream.read()
        assert len(data) == file.size, f"{file.name} is not as long as it says"
        assert file.sha256 in {None, hashlib.sha256(data).hexdigest()}
        files.append((file.name, data))
    return Content(b"", tuple(files), None)


def read_all(source: Source, token: str, parts: tuple[Part, ...]) -> dict[tuple[str, int], Content]:
    with closing(source.reader(token)) as reader:
        return {(part.relation, part.number): content_of(reader, part) for part in parts}


def through_json(part: Part) -> Part:
    """The part as it comes back from the job store."""
    return replace(part, payload=json.loads(json.dumps(part.payload)))


class SourceContract:
    @pytest.fixture
    def case(self) -> Case:
        raise NotImplementedError

    @pytest.fixture
    def opened(self, case: Case) -> Iterator[tuple[Case, Snapshot, Plan]]:
        with ExitStack() as stack:
            stack.enter_context(case.source.session())
            snapshot = stack.enter_context(closing(case.source.open(case.project, case.options)))
            yield case, snapshot, snapshot.plan(Selection())

    def test_is_a_small_value_without_secrets_in_sight(self, case: Case) -> None:
        copy = pickle.loads(pickle.dumps(case.source))
        assert copy.name == case.source.name
        for secret in case.secrets:
            assert secret not in case.source.name
            assert secret not in repr(case.source)

    def test_the_snapshot_is_described_by_plain_values(self, opened: tuple[Case, Snapshot, Plan]) -> None:
        case, snapshot, _ = opened
        details = json.dumps(dict(snapshot.details))
        assert isinstance(snapshot.token, str)
        assert snapshot.token
        assert snapshot.taken_at.endswith(("Z", "+00:00"))
        assert not any(secret in details + snapshot.token for secret in case.secrets)

    def test_the_same_data_gives_the_same_plan(self, opened: tuple[Case, Snapshot, Plan]) -> None:
        case, snapshot, plan = opened
        assert snapshot.plan(Selection()) == plan
        with closing(case.source.open(case.project, case.options)) as again:
            assert again.plan(Selection()) == plan

    def test_parts_survive_pickle_and_the_job_store(self, opened: tuple[Case, Snapshot, Plan]) -> None:
        _, _, plan = opened
        assert pickle.loads(pickle.dumps(plan)) == plan
        assert tuple(through_json(part) for part in plan.parts) == plan.parts

    def test_parts_are_numbered_and_members_hang_together(self, opened: tuple[Case, Snapshot, Plan]) -> None:
        case, _, plan = opened
        assert plan.parts
        assert {part.relation for part in plan.parts} <= set(plan.relations) <= set(case.source.relations())
        for relation in plan.relations:
            numbers = [part.number for part in plan.parts if part.relation == relation]
            assert numbers == list(range(len(numbers)))
        runs = [p.member for i, p in enumerate(plan.parts) if i == 0 or plan.parts[i - 1].member != p.member]
        members = [member for member in runs if member is not None]
        assert len(members) == len(set(members)), "the parts of one member must be neighbours"

    def test_threads_in_any_order_read_what_one_reads(self, opened: tuple[Case, Snapshot, Plan]) -> None:
        case, snapshot, plan = opened
        alone = read_all(case.source, snapshot.token, plan.parts)
        shares = [plan.parts[::-1][number::THREADS] for number in range(THREADS)]
        source = pickle.loads(pickle.dumps(case.source))
        with ThreadPoolExecutor(THREADS) as pool:
            found = list(pool.map(lambda share: read_all(source, snapshot.token, share), shares))
        assert {key: content for share in found for key, content in share.items()} == alone

    def test_records_are_counted_right(self, opened: tuple[Case, Snapshot, Plan]) -> None:
        case, snapshot, plan = opened
        contents = read_all(case.source, snapshot.token, plan.parts)
        expected = {(p.relation, p.number): p.lines for p in plan.parts if p.lines is not None}
        found = {key: content.lines for key, content in contents.items() if content.lines is not None}
        assert found.items() >= {k: v for k, v in expected.items() if k in found}.items()
        assert any(expected.values())

    def test_names_stay_inside_the_archive(self, opened: tuple[Case, Snapshot, Plan]) -> None:
        case, snapshot, plan = opened
        contents = read_all(case.source, snapshot.token, plan.parts)
        names = [name for content in contents.values() for name, _ in content.files]
        names += {part.member for part in plan.parts if part.member is not None}
        assert len(names) == len(set(names))
        for name in names:
            assert not name.startswith("/")
            assert not {"", ".", ".."} & set(name.removeprefix("./").split("/"))

    def test_a_later_snapshot_keeps_the_place_of_parts(self, opened: tuple[Case, Snapshot, Plan]) -> None:
        case, first, plan = opened
        details = json.loads(json.dumps(dict(first.details)))
        with closing(case.source.reopen(case.project, case.options, details)) as later:
            fresh = tuple(later.refresh(through_json(part)) for part in plan.parts)
            again = read_all(case.source, later.token, fresh)
        for old, new in zip(plan.parts, fresh, strict=True):
            assert (new.relation, new.number, new.member) == (old.relation, old.number, old.member)
            assert new.deferred == old.deferred
        assert again == read_all(case.source, first.token, plan.parts)  # nothing changed in between

    def test_selection(self, opened: tuple[Case, Snapshot, Plan]) -> None:
        _, snapshot, plan = opened
        for relation in plan.relations:
            only = snapshot.plan(Selection(only=(relation,)))
            assert only.relations == (relation,)
            assert {part.relation for part in only.parts} <= {relation}
            without = snapshot.plan(Selection(skip=(relation,)))
            assert without.relations == tuple(name for name in plan.relations if name != relation)
            assert relation not in {part.relation for part in without.parts}

    def test_an_unknown_project_is_not_found(self, case: Case) -> None:
        with case.source.session(), pytest.raises(NotFound) as error:
            case.source.open(case.unknown, case.options)
        assert error.value.hint

    def test_a_reader_stops_when_asked(self, opened: tuple[Case, Snapshot, Plan]) -> None:
        case, snapshot, plan = opened
        part = max((p for p in plan.parts if not p.deferred and p.lines), key=lambda p: p.weight)
        with closing(case.source.reader(snapshot.token)) as reader, pytest.raises(Interrupted):
            reader.read(part, CollectingSink(part, stop_after=0))

    def test_closing_twice_is_fine(self, case: Case) -> None:
        with case.source.session():
            snapshot = case.source.open(case.project, case.options)
            reader = case.source.reader(snapshot.token)
            for _ in range(2):
                reader.close()
                snapshot.close()

    def test_doctor_finds_nothing_failed(self, case: Case) -> None:
        with case.source.session():
            checks = list(case.source.checks())
        assert checks
        assert {check.status for check in checks} <= {"ok", "warning"}
