"""Writing and moving: whole and durable under the final name, or nothing there."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest
from pyfakefs.fake_filesystem import FakeFilesystem

from export_core import atomic
from export_core.atomic import disk_errors, move_file, private_directory
from export_core.errors import ExportFailed


@pytest.fixture
def two_disks(fs: FakeFilesystem, monkeypatch: pytest.MonkeyPatch) -> FakeFilesystem:
    """A fake file system with two devices; the kernel's copy would reach the real one."""
    monkeypatch.setattr(atomic, "_kernel_copy", lambda source, target, count: 0)
    fs.add_mount_point("/one")
    fs.add_mount_point("/two")
    return fs


def entries(path: str) -> list[str]:
    return sorted(entry.name for entry in Path(path).iterdir())


@pytest.mark.parametrize("target", ["/one/b", "/two/b"])
@pytest.mark.parametrize("replace", [False, True])
def test_a_file_moves_on_one_disk_and_between_two(
    two_disks: FakeFilesystem, target: str, replace: bool
) -> None:
    two_disks.create_file("/one/a", contents="whole", st_mode=0o100600)
    move_file(Path("/one/a"), Path(target), replace=replace)
    assert Path(target).read_text() == "whole"
    assert stat.S_IMODE(Path(target).stat().st_mode) == 0o600
    assert not Path("/one/a").exists()
    assert entries(str(Path(target).parent)) == ["b"]


@pytest.mark.parametrize("target", ["/one/b", "/two/b"])
def test_an_existing_target_is_replaced_only_when_asked(two_disks: FakeFilesystem, target: str) -> None:
    two_disks.create_file("/one/a", contents="new")
    two_disks.create_file(target, contents="old")
    with pytest.raises(FileExistsError):
        move_file(Path("/one/a"), Path(target), replace=False)
    assert Path(target).read_text() == "old"
    assert Path("/one/a").read_text() == "new"
    move_file(Path("/one/a"), Path(target), replace=True)
    assert Path(target).read_text() == "new"


def test_a_stopped_copy_leaves_source_and_target_as_they_were(two_disks: FakeFilesystem) -> None:
    two_disks.create_file("/one/a", contents=b"x" * 100)

    def stop(done: int, total: int) -> None:
        assert (done, total) == (100, 100)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        move_file(Path("/one/a"), Path("/two/b"), replace=False, progress=stop)
    assert entries("/two") == []
    assert entries("/one") == ["a"]


def test_what_a_kill_left_is_taken_up(two_disks: FakeFilesystem) -> None:
    source, target = Path("/one/a"), Path("/two/b")
    two_disks.create_file(source, contents="whole")
    atomic._temporary_beside(source, target).write_bytes(b"much longer than the whole file is")
    move_file(source, target, replace=False)
    assert target.read_text() == "whole"
    assert entries("/two") == ["b"]


def test_a_kill_between_link_and_unlink_is_finished(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"whole")
    target.hardlink_to(source)
    move_file(source, target, replace=False)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_file_moved_onto_itself_stays(tmp_path: Path) -> None:
    """Also by another way to the same directory."""
    source, alias = tmp_path / "a", tmp_path / "alias"
    source.write_bytes(b"whole")
    alias.symlink_to(tmp_path)
    for target in (source, alias / "a"):
        move_file(source, target, replace=True)
        assert source.read_bytes() == b"whole"


def test_a_link_to_the_source_is_replaced_only_when_asked(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"whole")
    target.symlink_to(source)
    with pytest.raises(FileExistsError):
        move_file(source, target, replace=False)
    move_file(source, target, replace=True)
    assert not target.is_symlink()
    assert target.read_bytes() == b"whole"
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_without_hard_links_nothing_is_overwritten_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "no links on this file system")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"new")
    target.write_bytes(b"old")
    with pytest.raises(FileExistsError):
        move_file(source, target, replace=False)
    assert target.read_bytes() == b"old"
    target.unlink()
    move_file(source, target, replace=False)
    assert target.read_bytes() == b"new"


def test_of_many_movers_exactly_one_wins(tmp_path: Path) -> None:
    target, refused = tmp_path / "target", []
    sources = [tmp_path / str(number) for number in range(16)]
    for source in sources:
        source.write_bytes(source.name.encode())
    start = threading.Barrier(len(sources))

    def move(source: Path) -> None:
        start.wait()
        try:
            move_file(source, target, replace=False)
        except FileExistsError:
            refused.append(source.name)

    threads = [threading.Thread(target=move, args=(source,)) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    left = sorted(path.name for path in tmp_path.iterdir() if path != target)
    assert len(refused) == len(sources) - 1
    assert left == sorted(refused)
    assert target.read_text() not in left


def test_between_real_disks_with_the_kernels_copy(tmp_path: Path) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system here")
    source, target = memory / f"packmule-test-{os.getpid()}", tmp_path / "moved"
    data, told = os.urandom(20 << 20), []
    source.write_bytes(data)
    try:
        move_file(source, target, replace=False, progress=lambda done, total: told.append((done, total)))
        assert not source.exists()
    finally:
        source.unlink(missing_ok=True)
    assert target.read_bytes() == data
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert told[-1] == (len(data), len(data))
    assert [path.name for path in tmp_path.iterdir()] == ["moved"]


def test_directories_are_private(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        private_directory(tmp_path / "a" / "b")
    finally:
        os.umask(old)
    private_directory(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_a_full_disk_says_what_to_do() -> None:
    with pytest.raises(ExportFailed, match="cannot write x: No space left on device") as caught:
        with disk_errors("write x"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.hint == "free some space, then run: packmule resume"
