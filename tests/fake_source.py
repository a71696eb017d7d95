"""A small source that a test can make as it likes: deterministic, no database, one folder to steer it by.

Its project has the relations of ``RELATIONS``: one object, lines in several parts, whole files, and deferred
files. ``control`` is a directory; a test puts files into it while an export runs:

- ``fail-<relation>.<part>``   the part fails with RelationFailed as long as the file exists
- ``break-<relation>.<part>``  ... with an error that is not packmule's
- ``lose-<relation>.<part>``   ... with SourceInterrupted, and the file is removed: it happens once
- ``hang-<relation>.<part>``   the part waits until the file is gone, or until it is told to stop
- ``deaf-<relation>.<part>``   ... and does not listen when it is told to stop
- ``missing``                  no project exists;  ``refuse``: the source cannot be reached

and reads from ``reads`` there which parts were read, a line each, in the order in which they began.
``version`` changes what the lines say, as if somebody worked in the project.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from export_core.errors import NotFound, RelationFailed, SourceInterrupted, SourceUnavailable
from export_core.source import ArchiveFile, Check, CheckStatus, Part, Plan, Selection, Sink
from export_core.sources import SOURCES, SourceKind
from export_core.workspace import Home

RELATIONS = ("version", "project", "issues", "merge_requests", "labels", "uploads")
LINES = {"issues": "tree/project/issues.ndjson", "merge_requests": "tree/project/merge_requests.ndjson"}
SETTINGS = ("lines", "parts", "width", "files", "file_size", "version", "control", "exact")


def install() -> None:
    """Make ``kind = "fake"`` known, in this process."""
    understood = frozenset({"as_user", "max_db_load", "pause"})
    SOURCES["fake"] = SourceKind("tests.fake_source", frozenset(SETTINGS), None, understood)  # type: ignore[index]


def build(name: str, settings: Mapping[str, Any], _home: Home) -> FakeSource:
    """As every kind of source has it; settings may be texts (``--source-option``)."""
    numbers = {key: int(settings[key]) for key in SETTINGS[:6] if key in settings}
    return FakeSource(
        name=name, control=settings.get("control"), exact=str(settings.get("exact")) == "True", **numbers
    )


def line(relation: str, number: int, width: int, version: int) -> bytes:
    """A record: the same for the same arguments, and not very compressible."""
    noise = hashlib.shake_128(f"{relation} {number}".encode()).hexdigest(width // 2)
    record = {"id": number + 1, "relation": relation, "version": version, "text": noise}
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def content(number: int, size: int) -> bytes:
    """An uploaded file's bytes."""
    return hashlib.shake_128(f"file {number}".encode()).digest(size)


@dataclass(frozen=True, slots=True)
class FakeSource:
    """``lines`` records in each relation of LINES, cut into ``parts``; ``files`` uploads of ``file_size``."""

    name: str = "fake"
    lines: int = 60
    parts: int = 4
    width: int = 100
    files: int = 3
    file_size: int = 1000
    version: int = 1
    control: str | None = None
    exact: bool = False

    @property
    def exact_after_resume(self) -> bool:
        return self.exact

    def relations(self) -> Sequence[str]:
        return RELATIONS

    def open(self, project: str, options: Mapping[str, Any]) -> FakeSnapshot:
        control = Control(self.control)
        if control.has("refuse"):
            raise SourceUnavailable(f"{self.name} refuses", hint="remove the file refuse")
        if control.has("missing"):
            raise NotFound(f"{self.name} has no project {project}")
        return FakeSnapshot(self, project, dict(options))

    def reopen(self, project: str, options: Mapping[str, Any], details: Mapping[str, Any]) -> FakeSnapshot:
        assert details["project"] == project
        return self.open(project, options)

    def reader(self, token: str) -> FakeReader:
        assert json.loads(token)["control"] == self.control
        return FakeReader(self)

    def session(self) -> AbstractContextManager[None]:
        return nullcontext()

    def checks(self) -> Iterable[Check]:
        refused = Control(self.control).has("refuse")
        yield Check("reachable", CheckStatus.FAILED if refused else CheckStatus.OK, "a fake")
        yield Check("speed", CheckStatus.WARNING, "nobody knows")

    def projects(self, group: str | None) -> Iterable[str]:
        """For ``--group`` and ``--all``."""
        every = ("group/one", "group/two", "other/three")
        return [path for path in every if group is None or path.startswith(f"{group}/")]

    def expected(self) -> dict[str, bytes]:
        """What the archive must hold: member names and contents, uploads included."""
        spelt = {LINES[relation]: relation for relation in LINES}
        members = {
            "VERSION": b"0.2.4",
            "GITLAB_VERSION": b"18.9.0-ee",
            "tree/project.json": b'{"description":"a fake"}',
            **{
                name: b"".join(line(rel, n, self.width, self.version) for n in range(self.lines))
                for name, rel in spelt.items()
                if self.lines
            },
        }
        return members | {f"uploads/{n}/file.bin": content(n, self.file_size) for n in range(self.files)}


@dataclass(frozen=True, slots=True)
class FakeSnapshot:
    """One view of the fake; nothing behind it ever changes."""

    source: FakeSource
    project: str
    options: dict[str, Any]

    @property
    def token(self) -> str:
        return json.dumps(asdict(self.source))

    @property
    def taken_at(self) -> str:
        return datetime.now(UTC).isoformat(timespec="milliseconds")

    @property
    def details(self) -> Mapping[str, Any]:
        return {"project": self.project, "version": self.source.version, "options": self.options}

    def plan(self, selection: Selection) -> Plan:
        chosen = tuple(name for name in RELATIONS if selection.includes(name))
        parts = [part for name in chosen for part in self._parts(name)]
        left_out = tuple(f"left out on request: {name}" for name in RELATIONS if name not in chosen)
        directories = ("tree/", "tree/project/") + (("uploads/",) if "uploads" in chosen else ())
        return Plan(tuple(parts), directories, warnings=left_out, relations=chosen)

    def refresh(self, part: Part) -> Part:
        return part

    def close(self) -> None:
        pass

    def _parts(self, name: str) -> list[Part]:
        if name in LINES:
            return list(self._line_parts(name))
        if name == "uploads":
            weight = self.source.files * self.source.file_size
            return [Part(name, 0, None, weight=weight, deferred=True)] if self.source.files else []
        if name == "labels":
            return []
        return [Part(name, 0, "tree/project.json" if name == "project" else None, weight=10)]

    def _line_parts(self, name: str) -> Iterator[Part]:
        size = -(-self.source.lines // self.source.parts) or 1
        for number, first in enumerate(range(0, self.source.lines, size)):
            count = min(size, self.source.lines - first)
            payload = {"first": first, "count": count}
            yield Part(name, number, LINES[name], payload, weight=count * self.source.width, lines=count)


@dataclass(frozen=True, slots=True)
class FakeReader:
    """Reads parts as the control directory says."""

    source: FakeSource

    def read(self, part: Part, sink: Sink) -> None:
        control = Control(self.source.control)
        control.begin(part, sink)
        match part.relation:
            case "version":
                sink.file("VERSION", b"0.2.4")
                sink.file("GITLAB_VERSION", b"18.9.0-ee")
            case "project":
                sink.write(b'{"description":"a fake"}')
                sink.lines(1)
            case relation:
                self._lines(relation, part, sink)

    def files(self, part: Part) -> Iterator[ArchiveFile]:
        Control(self.source.control).note(part)
        for number in range(self.source.files):
            data = content(number, self.source.file_size)
            name, digest = f"uploads/{number}/file.bin", hashlib.sha256(data).hexdigest()
            yield ArchiveFile(name, len(data), _opener(data), digest)

    def close(self) -> None:
        pass

    def _lines(self, relation: str, part: Part, sink: Sink) -> None:
        first, count = part.payload["first"], part.payload["count"]
        for number in range(first, first + count):
            if number % 50 == 0:
                sink.check_stop()
            sink.write(line(relation, number, self.source.width, self.source.version))
        sink.lines(count)


def _opener(data: bytes) -> Any:
    def open_it() -> BinaryIO:
        return io.BytesIO(data)

    return open_it


class Control:
    """The directory by which a test steers a source in another process."""

    def __init__(self, directory: str | None) -> None:
        self._directory = Path(directory) if directory else None

    def has(self, name: str) -> bool:
        return self._directory is not None and (self._directory / name).exists()

    def note(self, part: Part) -> None:
        """Write down that a part is being read; one short append is never torn."""
        if self._directory is not None:
            fd = os.open(self._directory / "reads", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            os.write(fd, f"{part.relation}.{part.number}\n".encode())
            os.close(fd)

    def begin(self, part: Part, sink: Sink) -> None:
        """Do to a part what the directory says."""
        self.note(part)
        place = f"{part.relation}.{part.number}"
        while self.has(f"hang-{place}"):
            sink.check_stop()
            time.sleep(0.01)
        while self.has(f"deaf-{place}"):
            time.sleep(0.01)
        if self.has(f"fail-{place}"):
            raise RelationFailed(part.relation, "as the test wanted", part=part.number)
        if self.has(f"break-{place}"):
            raise ZeroDivisionError("as the test wanted")
        if self.has(f"lose-{place}"):
            assert self._directory is not None
            (self._directory / f"lose-{place}").unlink()
            raise SourceInterrupted("the connection was lost, as the test wanted")
