"""What lies on the disk between two runs is not trusted: damaged parts are done again, the others kept."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.durability.harness import OTHER_FILE_SYSTEM
from tests.durability.scene import Scene, digest


def export(scene: Scene, kill: str) -> Path:
    target = scene.out / "x.tar.gz"
    ended = scene.run("export", "a/b", "--source", "fake", "--to", str(target), "--no-reuse", kill=kill)
    assert ended.killed, ended
    return target


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [flip, truncate, Path.unlink])
def test_a_damaged_segment_is_done_again(large: Scene, wanted: str, damage: Callable[[Path], object]) -> None:
    target = export(large, "fingerprint:1")
    damage(large.home / "jobs" / "2" / "segments" / "issues.3.0")
    before = len(large.reads())
    large.good("resume")
    read = large.reads()[before:]
    assert sorted(set(read)) == ["issues.3", "uploads.0"]  # uploads are read while the archive is made
    times = {name: times for name, (_, times, _) in large.parts(2).items()}
    assert {name for name, count in times.items() if count != 1} == {"issues.3"}
    assert digest(target) == wanted
    large.nothing_is_left()


def test_segments_of_a_relation_that_the_archive_has_begun(large: Scene, wanted: str) -> None:
    """The archive goes on where it stood, or anew; the parts whose bytes it holds are not read again."""
    target = export(large, "checkpoint:2")
    segments = sorted((large.home / "jobs" / "2" / "segments").iterdir())
    flip(segments[-1])
    large.good("resume")
    assert digest(target) == wanted
    large.nothing_is_left()


@pytest.mark.parametrize("damage", [flip, truncate, Path.unlink])
def test_a_damaged_partial_archive(large: Scene, wanted: str, damage: Callable[[Path], object]) -> None:
    target = export(large, "checkpoint:3")
    damage(large.home / "jobs" / "2" / "archive.tar.gz.partial")
    large.good("resume")
    assert digest(target) == wanted
    large.nothing_is_left()


@pytest.mark.parametrize("damage", [flip, truncate, Path.unlink])
def test_an_archive_damaged_before_its_delivery(
    large: Scene, wanted: str, damage: Callable[[Path], object]
) -> None:
    target = export(large, "phase-delivering:1")
    damage(large.home / "jobs" / "2" / "archive.tar.gz.partial")
    large.good("resume")
    assert digest(target) == wanted
    large.nothing_is_left()


def test_a_work_directory_that_is_gone(large: Scene, wanted: str) -> None:
    target = export(large, "finished:9")
    for path in (large.home / "jobs" / "2" / "segments").iterdir():
        path.unlink()
    large.good("resume")
    assert digest(target) == wanted
    assert len(large.show(2)["snapshots"]) == 1, "nothing was kept, so it was planned anew"
    large.nothing_is_left()


def test_a_kill_while_a_copy_gets_its_name(large: Scene, wanted: str) -> None:
    """On another file system: the copy has both its names, then; the first one must go."""
    if not OTHER_FILE_SYSTEM.is_dir():
        pytest.skip("there is no other file system")
    directory = Path(tempfile.mkdtemp(dir=OTHER_FILE_SYSTEM))
    target = directory / "x.tar.gz"
    words = ("export", "a/b", "--source", "fake", "--to", str(target), "--no-reuse")
    try:
        assert large.run(*words, kill="linked:1").killed
        assert len(list(directory.iterdir())) == 2
        large.good("resume")
        assert list(directory.iterdir()) == [target]
        assert digest(target) == wanted
    finally:
        shutil.rmtree(directory)
    large.nothing_is_left()
