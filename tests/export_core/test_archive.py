"""Archives: read by everybody, the same bytes always, and whatever interrupts their making loses nothing."""

from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import random
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from export_core import archive as archive_module
from export_core import compression
from export_core import segment as segment_module
from export_core.archive import write_archive
from export_core.archive_position import missing_parts
from export_core.assembly import ArchiveRequest
from export_core.errors import ExportFailed, Interrupted, RelationFailed
from export_core.events import BytesMoved, Event
from export_core.segment import SegmentDamaged
from export_core.source import ArchiveFile, Part, Plan
from tests.foreign_readers import INFLATERS, LISTERS, run_tool

from .archive_parts import Example, FilesReader, InlineExecutor, MemoryCheckpoint, in_memory, noise, pool

PYTHON_MODES = ["r:gz", "r|gz"]


def make(root: Path, workers: int = 1, **options: Any) -> tuple[Example, bytes]:
    """An undisturbed archive of the example, and its bytes."""
    example = Example(root, **options)
    with pool(workers) as executor:
        info = write_archive(example.request, example.segments(), example.tools(executor, workers))
    data = Path(str(info.path)).read_bytes()
    assert (info.size, info.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    return example, data


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Example, bytes]:
    return make(tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk for every piece, a checkpoint for every few of them."""
    monkeypatch.setattr(segment_module, "CHUNK_MIN", 1)
    monkeypatch.setattr(archive_module, "CHECKPOINT_MIN", 1)


# --- what is in it


@pytest.mark.parametrize("mode", PYTHON_MODES)
def test_python_reads_every_byte(undisturbed: tuple[Example, bytes], mode: Any) -> None:
    example, data = undisturbed
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode=mode) as tar:
        for member in tar:
            assert member.mtime == example.request.mtime
            if member.isfile():
                found[member.name] = tar.extractfile(member).read()  # type: ignore[union-attr]
    assert list(found) == list(example.contents())
    assert found == example.contents()


@pytest.mark.parametrize("tool", LISTERS)
def test_tar_programs_list_it(undisturbed: tuple[Example, bytes], tool: str, tmp_path: Path) -> None:
    example, data = undisturbed
    (tmp_path / "a.tar.gz").write_bytes(data)
    listed = run_tool(LISTERS[tool], tmp_path / "a.tar.gz").splitlines()
    assert len(listed) == len(example.plan.directories) + len(example.contents())
    assert b"./tree/project/issues.ndjson" in listed


@pytest.mark.parametrize("tool", INFLATERS)
def test_gzip_programs_read_it(undisturbed: tuple[Example, bytes], tool: str, tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(undisturbed[1])
    raw = run_tool(INFLATERS[tool], tmp_path / "a.tar.gz")
    assert raw == gzip.decompress(undisturbed[1])
    assert len(raw) % 10_240 == 0


def test_an_export_of_nothing_is_an_empty_tar(tmp_path: Path) -> None:
    request = ArchiveRequest(1, Plan(()), Example(tmp_path).request.workspace, 0)
    request.workspace.root.mkdir(exist_ok=True)
    info = write_archive(request, {}, Example(tmp_path).tools(InlineExecutor()))
    with tarfile.open(str(info.path)) as tar:
        assert tar.getnames() == []


def test_noise_grows_by_less_than_a_thousandth(tmp_path: Path) -> None:
    """50 MB that do not compress, staged and deferred."""
    data = noise(50_000_000, 1)
    example = Example(tmp_path)
    plan = Plan((Part("lfs_objects", 0, None, deferred=True),))
    request = ArchiveRequest(1, plan, example.request.workspace, 0)
    tools = archive_module.ArchiveTools(InlineExecutor(), lambda: FilesReader([in_memory("./x", data)]))
    assert write_archive(request, {}, tools).size < len(data) * 1.001


# --- the same bytes, always


@pytest.mark.parametrize("workers", [2, 7])
def test_bytes_do_not_depend_on_workers(
    undisturbed: tuple[Example, bytes], workers: int, tmp_path: Path
) -> None:
    assert make(tmp_path, workers)[1] == undisturbed[1]


def test_bytes_do_not_depend_on_chunks(
    undisturbed: tuple[Example, bytes], small_steps: None, tmp_path: Path
) -> None:
    assert make(tmp_path, free=False)[1] == undisturbed[1]


@pytest.mark.parametrize("level", [0, 3, 6])
def test_other_levels_hold_the_same(undisturbed: tuple[Example, bytes], level: int, tmp_path: Path) -> None:
    assert gzip.decompress(make(tmp_path, level=level)[1]) == gzip.decompress(undisturbed[1])


def test_without_isal_it_holds_the_same(
    undisturbed: tuple[Example, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compression, "_isal", None)
    assert gzip.decompress(make(tmp_path)[1]) == gzip.decompress(undisturbed[1])


class FragileCheckpoint(MemoryCheckpoint):
    """Stops before or after saving, when its turn comes."""

    def __init__(self, fuse: Callable[[], None]) -> None:
        super().__init__()
        self.fuse = fuse

    def save(self, value: Mapping[str, Any]) -> None:
        self.fuse()
        super().save(value)
        self.fuse()


class Fuse:
    """Raises Interrupted at a random one of the next calls."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.reach = [20]

    def arm(self) -> None:
        self.left = self.dice.randrange(1, self.dice.choice(self.reach))
        self.reach = [3, 10, 40, 90]

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Interrupted("the power went")


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("seed", range(12))
def test_any_number_of_interruptions_gives_the_same_bytes(
    undisturbed: tuple[Example, bytes], seed: int, tmp_path: Path
) -> None:
    """Stopped at random calls, also just before and after a checkpoint; no segment is done again."""
    example, fuse = Example(tmp_path), Fuse(seed)
    segments, checkpoint = example.segments(), FragileCheckpoint(fuse)
    interruptions = 0
    with pool(2) as executor:
        tools = example.tools(executor, 2, checkpoint=checkpoint, check_stop=fuse)
        while True:
            assert missing_parts(example.request, segments, checkpoint.load()) == []
            fuse.arm()
            try:
                info = write_archive(example.request, segments, tools)
                break
            except Interrupted:
                interruptions += 1
                leave_rubbish(example, fuse.dice)
    assert interruptions
    assert Path(str(info.path)).read_bytes() == undisturbed[1]
    assert list(example.request.workspace.segments.iterdir()) == []


def leave_rubbish(example: Example, dice: random.Random) -> None:
    """What is behind the last checkpoint may or may not have reached the disk."""
    path = example.request.workspace.archive
    if dice.random() < 0.5:
        with path.open("ab") as stream:
            stream.write(dice.randbytes(5000))


# --- damage


def interrupted_example(root: Path, *, after_bytes: int) -> tuple[Example, dict[Any, Any], MemoryCheckpoint]:
    """The example, stopped when the archive has so many bytes."""
    example, checkpoint = Example(root), MemoryCheckpoint()
    segments = example.segments()

    def stop() -> None:
        if checkpoint.value.get("offset", 0) >= after_bytes:
            raise Interrupted("stop")

    tools = example.tools(InlineExecutor(), checkpoint=checkpoint, check_stop=stop)
    with pytest.raises(Interrupted):
        write_archive(example.request, segments, tools)
    return example, segments, checkpoint


def finish(
    example: Example, segments: dict[Any, Any], checkpoint: MemoryCheckpoint
) -> tuple[list[str], bytes]:
    """Do again what is missing, then the archive; the parts that were done again, and the bytes."""
    missing = missing_parts(example.request, segments, checkpoint.load())
    for part in missing:
        segments[part.relation, part.number] = example.write(part.relation, part.number)
    tools = example.tools(InlineExecutor(), checkpoint=checkpoint)
    info = write_archive(example.request, segments, tools)
    return [f"{part.relation}.{part.number}" for part in missing], Path(str(info.path)).read_bytes()


IN_THE_BUNDLE = 11_000_000
IN_THE_ISSUES = 1_500_000


@pytest.mark.usefixtures("small_steps")
def test_a_damaged_archive_is_made_from_the_start(undisturbed: tuple[Example, bytes], tmp_path: Path) -> None:
    example, segments, checkpoint = interrupted_example(tmp_path, after_bytes=IN_THE_BUNDLE)
    with example.request.workspace.archive.open("r+b") as stream:
        stream.seek(1000)
        stream.write(b"\0\1\2")
    again, data = finish(example, segments, checkpoint)
    assert again == ["version.0", "issues.0", "issues.1", "issues.2", "issues.3", "repository.0"]
    assert data == undisturbed[1]


@pytest.mark.usefixtures("small_steps")
def test_a_damaged_segment_behind_the_checkpoint_is_done_again_alone(
    undisturbed: tuple[Example, bytes], tmp_path: Path
) -> None:
    example, segments, checkpoint = interrupted_example(tmp_path, after_bytes=5_000_000)
    next((example.request.workspace.segments).glob("repository.0.*")).write_bytes(b"rubbish")
    again, data = finish(example, segments, checkpoint)
    assert again == ["repository.0"]
    assert data == undisturbed[1]


@pytest.mark.usefixtures("small_steps")
def test_damage_in_a_begun_member_does_all_of_it_again(
    undisturbed: tuple[Example, bytes], tmp_path: Path
) -> None:
    """The member's length stands in the archive already; another snapshot may give another one."""
    example, segments, checkpoint = interrupted_example(tmp_path, after_bytes=IN_THE_ISSUES)
    next((example.request.workspace.segments).glob("issues.3.*")).write_bytes(b"rubbish")
    example.issues[3] += b'{"id":99999}\n'
    again, data = finish(example, segments, checkpoint)
    assert again == ["version.0", "issues.0", "issues.1", "issues.3"]
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        issues = tar.extractfile("./tree/project/issues.ndjson")
        assert issues is not None
        assert issues.read() == b"".join(example.issues)
        assert tar.getnames()[-1] == "./project.bundle"


@pytest.mark.usefixtures("small_steps")
def test_a_segment_lost_halfway_is_seen(undisturbed: tuple[Example, bytes], tmp_path: Path) -> None:
    """Chunks 0.. of the bundle are in the archive and gone; a later one is damaged."""
    example, segments, checkpoint = interrupted_example(tmp_path, after_bytes=IN_THE_BUNDLE)
    chunks = sorted((example.request.workspace.segments).glob("repository.0.*"))
    assert chunks
    assert chunks[0].name != "repository.0.0"
    chunks[-1].write_bytes(chunks[-1].read_bytes()[::-1])
    again, data = finish(example, segments, checkpoint)
    assert again[-1] == "repository.0"
    assert data == undisturbed[1]


def test_parts_without_segment_are_missing(tmp_path: Path) -> None:
    example = Example(tmp_path)
    segments = example.segments()
    del segments["issues", 2]
    example.request.workspace.chunk("issues", 1, 0).unlink()
    missing = missing_parts(example.request, segments, {})
    assert [(part.relation, part.number) for part in missing] == [("issues", 1), ("issues", 2)]
    with pytest.raises(ExportFailed, match="no segment for part 2"):
        write_archive(example.request, segments, example.tools(InlineExecutor()))


def test_a_segment_that_vanishes_is_named(tmp_path: Path) -> None:
    example = Example(tmp_path)
    segments = example.segments()
    example.request.workspace.chunk("issues", 1, 0).unlink()
    with pytest.raises(SegmentDamaged, match=r"issues \(part 1\)") as caught:
        write_archive(example.request, segments, example.tools(InlineExecutor()))
    assert (caught.value.relation, caught.value.part) == ("issues", 1)


# --- deferred files


def fail_to_open() -> io.BytesIO:
    raise FileNotFoundError(2, "No such file or directory", "/data/gone.png")


DATA = b"some content"
BAD_FILES = {
    "longer": (ArchiveFile("./uploads/f", 5, lambda: io.BytesIO(DATA)), "longer than the expected 5 bytes"),
    "shorter": (ArchiveFile("./uploads/f", 99, lambda: io.BytesIO(DATA)), "ends after 12 of 99 bytes"),
    "digest": (ArchiveFile("./uploads/f", 12, lambda: io.BytesIO(DATA), "0" * 64), "expected 0000"),
    "gone": (ArchiveFile("./uploads/f", 12, fail_to_open), "cannot be read: .*gone.png"),
    "big": (ArchiveFile("./uploads/f", 3 << 20, lambda: io.BytesIO(bytes(2 << 20))), "ends after 2097152"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_file_that_is_not_what_was_planned_fails_its_relation(kind: str, tmp_path: Path) -> None:
    example = Example(tmp_path)
    bad, message = BAD_FILES[kind]
    reader = FilesReader([in_memory("./uploads/good", DATA), bad])
    tools = archive_module.ArchiveTools(InlineExecutor(), lambda: reader)
    with pytest.raises(RelationFailed, match=f"./uploads/f .*{message}") as caught:
        write_archive(example.request, example.segments(), tools)
    assert caught.value.relation == "lfs_objects"
    assert reader.closed


@pytest.mark.usefixtures("small_steps")
def test_files_that_changed_since_the_interruption_are_refused(tmp_path: Path) -> None:
    example, segments, checkpoint = interrupted_example(tmp_path, after_bytes=6_000_000)
    assert checkpoint.value["deferred_done"]
    example.deferred = {"./uploads/new": b"x", **example.deferred}
    with pytest.raises(RelationFailed, match="not those of the interrupted run"):
        finish(example, segments, checkpoint)


# --- disk, memory, progress


def test_the_disk_never_holds_much_more_than_one_archive(tmp_path: Path) -> None:
    """Peak of segments and archive together, seen at every MiB, as the files' blocks on the disk."""
    example = Example(tmp_path)
    plan = Plan(tuple(Part("issues", n, "./x") for n in range(24)))
    example.issues = [noise(2 << 20, n) for n in range(24)]
    request = ArchiveRequest(1, plan, example.request.workspace, 0)
    segments = {("issues", n): example.write("issues", n) for n in range(24)}
    peak = 0

    def look(event: Event) -> None:
        nonlocal peak
        files = [request.workspace.archive, *request.workspace.segments.iterdir()]
        peak = max(peak, sum(path.stat().st_blocks * 512 for path in files))

    checkpoint = MemoryCheckpoint()
    tools = example.tools(InlineExecutor(), checkpoint=checkpoint, listener=look)
    info = write_archive(request, segments, tools)
    assert peak <= 1.1 * info.size
    assert checkpoint.saves <= 30


def test_chunks_are_freed_only_when_the_archive_holds_them_durably(
    tmp_path: Path, small_steps: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Order of the three acts, by recording: fsync, then checkpoint, then removal."""
    acts: list[str] = []
    example = Example(tmp_path)
    segments = example.segments()
    real_sync, real_unlink = archive_module.sync_file, Path.unlink
    monkeypatch.setattr(archive_module, "sync_file", lambda fd: (acts.append("sync"), real_sync(fd)))
    monkeypatch.setattr(
        Path, "unlink", lambda self, **options: (acts.append("free"), real_unlink(self, **options))[1]
    )
    checkpoint = MemoryCheckpoint()
    save = checkpoint.save
    monkeypatch.setattr(checkpoint, "save", lambda value: (acts.append("save"), save(value)))
    write_archive(example.request, segments, example.tools(InlineExecutor(), checkpoint=checkpoint))
    assert acts.count("free") == sum(segment.chunks for segment in segments.values())
    for before, act in itertools.pairwise(acts):
        assert (before, act) not in {("sync", "free"), ("free", "save"), ("save", "save")}
    assert acts[-1] == "sync"


def test_segments_are_kept_when_asked(tmp_path: Path) -> None:
    example, _ = make(tmp_path, free=False)
    assert missing_parts(example.request, example.segments(), {}) == []


def test_progress_reaches_its_total(tmp_path: Path) -> None:
    example, events = Example(tmp_path), []
    info = write_archive(
        example.request, example.segments(), example.tools(InlineExecutor(), listener=events.append)
    )
    assert all(isinstance(event, BytesMoved) and event.phase == "archiving" for event in events)
    assert [event.done for event in events] == sorted(event.done for event in events)
    assert all(event.done <= event.total for event in events)
    assert (events[-1].done, events[-1].total, events[-1].job) == (info.size, info.size, 7)
