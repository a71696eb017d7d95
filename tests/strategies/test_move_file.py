"""move-file's own rules."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from export_core.errors import DestinationUnusable, UsageError
from export_core.job import ArchiveInfo
from strategies.move_file import MoveFile
from strategies.words import Words
from tests.strategies.contract import FileArchive, MemoryCheckpoint, context, make_job


@pytest.fixture
def archive(tmp_path: Path) -> FileArchive:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "archive").write_bytes(b"archive" * 1000)
    return FileArchive(tmp_path / "work" / "archive", b"archive" * 1000)


def refused(strategy: MoveFile, expected_size: int | None = 1) -> str:
    with pytest.raises(DestinationUnusable) as error:
        strategy.check(make_job(), expected_size)
    assert error.value.hint
    return error.value.message


def test_a_relative_path_is_made_absolute_when_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = MoveFile.from_words(Words(to="out.tar.gz"))
    monkeypatch.chdir("/")
    assert chosen.target == tmp_path / "out.tar.gz"


@pytest.mark.parametrize("ending", ["", "/", "/new/"])
def test_a_directory_is_refused_and_a_file_name_asked_for(tmp_path: Path, ending: str) -> None:
    with pytest.raises(DestinationUnusable, match="is a directory") as error:
        MoveFile.from_words(Words(to=f"{tmp_path}{ending}"))
    assert "name a file" in str(error.value.hint)


def test_an_empty_path_is_wrong_usage() -> None:
    with pytest.raises(UsageError):
        MoveFile.from_words(Words(to=""))


def test_what_lies_in_a_missing_directory_or_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "does not exist" in refused(MoveFile(str(tmp_path / "missing" / "out.tar.gz")))
    assert "not a directory" in refused(MoveFile(str(tmp_path / "file" / "out.tar.gz")))


def test_a_name_too_long_is_refused(tmp_path: Path) -> None:
    assert "too long" in refused(MoveFile(str(tmp_path / ("x" * 300))))


def test_an_existing_file_needs_force(tmp_path: Path) -> None:
    target = tmp_path / "out.tar.gz"
    target.write_text("precious")
    assert "already exists" in refused(MoveFile(str(target)))
    MoveFile(str(target), force=True).check(make_job(), 1)
    assert target.read_text() == "precious"


def test_force_replaces_the_file(tmp_path: Path, archive: FileArchive) -> None:
    target = tmp_path / "out.tar.gz"
    target.write_text("old")
    MoveFile(str(target), force=True).deliver(archive, context())
    assert target.read_bytes() == archive.data


def test_a_file_that_appeared_since_the_check_is_not_replaced(tmp_path: Path, archive: FileArchive) -> None:
    target = tmp_path / "out.tar.gz"
    MoveFile(str(target)).check(make_job(), 1)
    target.write_text("precious")
    with pytest.raises(DestinationUnusable, match="already exists"):
        MoveFile(str(target)).deliver(archive, context())
    assert target.read_text() == "precious"
    assert archive.file.read_bytes() == archive.data


def test_force_does_not_replace_what_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in refused(MoveFile(str(tmp_path / "pipe"), force=True))
    if os.access("/dev", os.W_OK):  # root's; others are refused because of the directory already
        assert "not a regular file" in refused(MoveFile("/dev/null", force=True))


def test_a_dangling_link_counts_as_existing(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert "already exists" in refused(MoveFile(str(tmp_path / "link")))


def test_more_than_fits_is_refused(tmp_path: Path) -> None:
    assert "free" in refused(MoveFile(str(tmp_path / "out.tar.gz")), expected_size=1 << 60)


@pytest.mark.parametrize("inside", ["jobs/1/x", "archives/x", "embedded/data/x", "packmule.db-wal"])
def test_packmules_own_directories_are_refused(tmp_path: Path, inside: str) -> None:
    target = tmp_path / "home" / inside
    target.parent.mkdir(parents=True)
    (tmp_path / "alias").symlink_to(tmp_path / "home")
    for path in (target, tmp_path / "alias" / inside):
        assert "own files" in refused(MoveFile(str(path), home=str(tmp_path / "home")))


def test_beside_packmules_own_directories_is_fine(tmp_path: Path) -> None:
    MoveFile(str(tmp_path / "out.tar.gz"), home=str(tmp_path)).check(make_job(), 1)


def test_checking_again_on_resume_accepts_what_the_same_job_delivered(
    tmp_path: Path, archive: FileArchive
) -> None:
    """Killed after the move and before the job knew."""
    strategy = MoveFile(str(tmp_path / "out.tar.gz"))
    strategy.deliver(archive, context())
    info = ArchiveInfo(str(archive.file), archive.size, archive.sha256)
    strategy.check(make_job(info), None)
    assert "already exists" in refused(MoveFile(str(tmp_path / "out.tar.gz")))


def test_resuming_does_not_take_another_file_of_the_same_size_for_the_archive(
    tmp_path: Path, archive: FileArchive
) -> None:
    target, checkpoint = tmp_path / "out.tar.gz", MemoryCheckpoint()
    strategy = MoveFile(str(target))
    strategy.deliver(archive, context(checkpoint))
    target.write_bytes(bytes(archive.size))
    with pytest.raises(DestinationUnusable):
        strategy.deliver(archive, context(checkpoint))


def test_still_there(tmp_path: Path, archive: FileArchive) -> None:
    strategy = MoveFile(str(tmp_path / "out.tar.gz"))
    job = make_job(ArchiveInfo(strategy.to, archive.size, archive.sha256))
    assert not strategy.still_there(job)
    strategy.deliver(archive, context())
    assert strategy.still_there(job)
    strategy.target.write_bytes(bytes(archive.size))
    assert not strategy.still_there(job), "another file of the same size"


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes an ordinary user")
def test_an_ordinary_user_is_refused_where_he_may_not_write() -> None:
    """In a process of its own: root passes every permission check."""
    code = """if True:
        import os
        from export_core.errors import DestinationUnusable
        from strategies.move_file import MoveFile
        from tests.strategies.contract import make_job

        os.setgid(65534)
        os.setuid(65534)
        try:
            MoveFile("/usr/out.tar.gz").check(make_job(), 1)
        except DestinationUnusable as error:
            print(error.message)
    """
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "not writable" in answer.stdout


@pytest.fixture
def two_file_systems(tmp_path: Path) -> Iterator[Path]:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system here")
    there = memory / f"packmule-test-{os.getpid()}"
    there.mkdir()
    yield there
    for path in there.iterdir():
        path.unlink()
    there.rmdir()


def test_a_copy_cut_short_by_sigkill_is_taken_up_or_cleaned_away(
    tmp_path: Path, two_file_systems: Path
) -> None:
    """The half copy has no final name; resuming completes it, cancelling removes it."""
    data = b"0123456789abcdef" * (2 << 20)
    source, target = tmp_path / "archive", two_file_systems / "out.tar.gz"
    code = """if True:
        import json, os, sys
        from pathlib import Path
        from strategies.move_file import MoveFile
        from tests.strategies.contract import FileArchive, MemoryCheckpoint, context

        class Saved(MemoryCheckpoint):
            def save(self, value):
                super().save(value)
                Path(sys.argv[3]).write_text(json.dumps(self.value))

        source = Path(sys.argv[1])
        job = context(Saved(), listener=lambda event: os.kill(os.getpid(), 9))
        MoveFile(sys.argv[2]).deliver(FileArchive(source, source.read_bytes()), job)
    """
    for ending in ("resume", "cancel"):
        source.write_bytes(data)
        words = [sys.executable, "-c", code, str(source), str(target), str(tmp_path / "checkpoint")]
        assert subprocess.run(words, check=False).returncode == -9
        assert [path.name for path in two_file_systems.iterdir() if path.suffix != ".tmp"] == []
        assert len(list(two_file_systems.iterdir())) == 1
        checkpoint = MemoryCheckpoint(json.loads((tmp_path / "checkpoint").read_text()))
        if ending == "resume":
            MoveFile(str(target)).deliver(FileArchive(source, data), context(checkpoint))
            assert target.read_bytes() == data
            target.unlink()
        else:
            MoveFile(str(target)).abandon(make_job(), checkpoint)
        assert list(two_file_systems.iterdir()) == []
