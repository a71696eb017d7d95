"""What the tests of segments and archives share: parts, a reader of deferred files, a checkpoint."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from export_core.archive import ArchiveTools
from export_core.assembly import ArchiveRequest
from export_core.segment import Segment, SegmentWriter, seal_segment
from export_core.source import ArchiveFile, Part, Plan
from export_core.workspace import Workspace

MTIME = 1_700_000_000


def noise(size: int, seed: int) -> bytes:
    """Bytes that do not compress, the same for the same seed."""
    return random.Random(seed).randbytes(size)


def ndjson(rows: int, seed: int = 0) -> bytes:
    dice = random.Random(seed)
    return b"".join(
        b'{"id":%d,"title":"Issue %d","description":"%x","author_id":%d,"at":"2025-09-04T15:23:35.050Z"}\n'
        % (n, n, dice.getrandbits(200), dice.randrange(90))
        for n in range(rows)
    )


class InlineExecutor(Executor):
    """Runs everything at once in the caller's thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as exc:  # noqa: BLE001
            future.set_exception(exc)
        return future


class FilesReader:
    """A reader whose deferred parts are the given files."""

    def __init__(self, files: list[ArchiveFile]) -> None:
        self.list = files
        self.closed = False

    def read(self, part: Part, sink: Any) -> None:
        raise NotImplementedError

    def files(self, part: Part) -> Iterator[ArchiveFile]:
        return iter(self.list)

    def close(self) -> None:
        self.closed = True


class MemoryCheckpoint:
    """Keeps the last value, as JSON would."""

    def __init__(self) -> None:
        self.value: dict[str, Any] = {}
        self.saves = 0

    def load(self) -> dict[str, Any]:
        return dict(self.value)

    def save(self, value: Mapping[str, Any]) -> None:
        self.value = dict(value)
        self.saves += 1


def in_memory(name: str, data: bytes, *, checked: bool = False) -> ArchiveFile:
    digest = hashlib.sha256(data).hexdigest() if checked else None
    return ArchiveFile(name, len(data), lambda: io.BytesIO(data), digest)


class Example:
    """A small export: a member of several parts, an empty one, loose files, and deferred files."""

    def __init__(self, root: Path, *, level: int = 1, free: bool = True) -> None:
        self.issues = [ndjson(3000, 1), noise(2_500_000, 2), ndjson(10, 3), noise(1 << 20, 4)]
        self.bundle = b"# v2 git bundle\n" + noise(3_300_000, 5)
        self.loose = {"./VERSION": b"0.2.4", "./" + "d" * 120 + "/é.txt": b"long and not ASCII"}
        self.deferred = self._deferred_files()
        self.plan = Plan(
            parts=(
                Part("version", 0, None),
                *(Part("issues", n, "./tree/project/issues.ndjson") for n in range(len(self.issues))),
                Part("project_members", 0, "./tree/project/project_members.ndjson"),
                Part("lfs_objects", 0, None, deferred=True, weight=5_000_000),
                Part("repository", 0, "./project.bundle"),
            ),
            directories=("./", "./tree/", "./tree/project/"),
        )
        self.request = ArchiveRequest(7, self.plan, Workspace(root), MTIME, level, free)

    def _deferred_files(self) -> dict[str, bytes]:
        files = {f"./uploads/{n:032x}/file {n}.txt": noise(n * 700, 100 + n) for n in range(40)}
        big = noise(3 * (1 << 20) + 17, 6)
        files["./lfs-objects/" + hashlib.sha256(big).hexdigest()] = big
        files["./lfs-objects/edge"] = noise(1 << 20, 7)
        files["./uploads/" + "u" * 150] = b"behind a long name"
        return files

    def contents(self) -> dict[str, bytes]:
        return {
            **self.loose,
            "./tree/project/issues.ndjson": b"".join(self.issues),
            "./tree/project/project_members.ndjson": b"",
            **self.deferred,
            "./project.bundle": self.bundle,
        }

    def write(self, relation: str, number: int) -> Segment:
        request = self.request
        with SegmentWriter(
            request.workspace, relation, number, level=request.level, mtime=request.mtime
        ) as writer:
            if relation == "version":
                for name, data in self.loose.items():
                    writer.file(name, data)
            elif relation == "issues":
                writer.write(self.issues[number])
            elif relation == "repository":
                writer.write(self.bundle)
            segment = writer.close()
        seal_segment(request.workspace, segment)
        return segment

    def segments(self) -> dict[tuple[str, int], Segment]:
        made = [self.write(part.relation, part.number) for part in self.plan.parts if not part.deferred]
        return {segment.key: segment for segment in made}

    def reader(self) -> FilesReader:
        return FilesReader([in_memory(name, data, checked=True) for name, data in self.deferred.items()])

    def tools(self, executor: Executor, workers: int = 1, **others: Any) -> ArchiveTools:
        return ArchiveTools(executor, self.reader, workers, **others)


def pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers)
