"""A full file system: a clear error, nothing half-delivered, and resume goes on when there is room again."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from export_core.job import JobStatus
from tests.durability.scene import Scene, digest
from tests.small_disk import fill, mounted


@pytest.fixture
def small_disk(large: Scene) -> Iterator[Path]:
    """A file system of its own with 6 MB, for whoever may mount one."""
    place = large.root / "small"
    place.mkdir()
    with mounted(place, "6m"):
        yield place


def make_room(place: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)


def test_no_room_for_segments(large: Scene, wanted: str, small_disk: Path) -> None:
    jobs = large.home / "jobs"
    jobs.rmdir()
    jobs.symlink_to(small_disk)
    target = large.out / "x.tar.gz"
    ended = large.run("export", "a/b", "--source", "fake", "--to", str(target), "--no-reuse")
    assert ended.code == 3, ended
    assert "No space left on device" in ended.stderr
    assert "free some space" in ended.stderr
    assert not target.exists()
    job = large.store.get(2)
    assert (job.status, job.error and job.error.kind) == (JobStatus.FAILED, "ExportFailed")
    done = large.finished(2)
    assert done

    make_room(small_disk)
    before = len(large.reads())
    large.good("resume")
    assert not done & set(large.reads()[before:])
    assert digest(target) == wanted
    assert list(small_disk.iterdir()) == []


def test_no_room_for_the_job_store_either(large: Scene, wanted: str, small_disk: Path) -> None:
    """Then nothing can be recorded: the job counts as interrupted, and its first error is shown."""
    large.home = small_disk / "home"
    target = large.out / "x.tar.gz"
    make_room(small_disk)
    process = large.held("export", "a/b", "--source", "fake", "--to", str(target), at="begun:6")
    fill(small_disk)
    ended = large.let_go(process)
    assert ended.code in (1, 3), ended
    assert "No space left on device" in ended.stderr or "disk is full" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not target.exists()
    (small_disk / "filling").unlink()
    assert large.store.get(1).status in (JobStatus.FAILED, JobStatus.INTERRUPTED)
    large.good("resume")
    assert digest(target) == wanted
    large.nothing_is_left()


def test_no_room_at_the_destination_is_seen_before_the_work(large: Scene, small_disk: Path) -> None:
    ended = large.run("export", "a/b", "--source", "fake", "--to", str(small_disk / "x.tar.gz"))
    assert ended.code == 6, ended
    assert "free" in ended.stderr
    assert large.reads() == []
    assert list(small_disk.iterdir()) == []


def test_a_destination_that_fills_up_meanwhile(large: Scene, wanted: str, small_disk: Path) -> None:
    make_room(small_disk)
    target = small_disk / "x.tar.gz"
    words = ("export", "a/b", "--source", "fake", "--to", str(target), "--no-reuse")
    process = large.held(*words, at="phase-delivering:1")
    fill(small_disk)
    ended = large.let_go(process)
    assert ended.code == 6, ended
    assert str(small_disk) in ended.stderr
    assert "packmule resume" in ended.stderr
    assert [path.name for path in small_disk.iterdir()] == ["filling"]
    (small_disk / "filling").unlink()
    before = len(large.reads())
    large.good("resume")
    assert large.reads()[before:] == [], "the archive was made already"
    assert digest(target) == wanted
    large.nothing_is_left()


def test_a_size_limit_in_place_of_a_full_disk(large: Scene, wanted: str) -> None:
    """For those who may not mount: the system refuses every file beyond 4 MB."""
    target = large.out / "x.tar.gz"
    limit = 4 << 20
    ended = large.run(
        *("export", "a/b", "--source", "fake", "--to", str(target), "--no-reuse"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert ended.code == 3, ended
    assert "File too large" in ended.stderr
    assert "packmule resume" in ended.stderr
    assert not target.exists()
    done = large.finished(2)
    assert len(done) >= 20
    before = len(large.reads())
    large.good("resume")
    assert not done & set(large.reads()[before:])
    assert digest(target) == wanted
    large.nothing_is_left()
