"""Opening archives that cannot be trusted. Every archive here is built by tarfile and gzip, or by GNU tar."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from export_core.archive_reader import extracted
from export_core.archive_rules import Limits
from export_core.errors import ArchiveInvalid, NotFound

PROJECT = ("tree/project.json", b"{}")
GIB = 1 << 30


def entry(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def make(path: Path, *entries: tuple[tarfile.TarInfo, bytes], prefix: str = "") -> Path:
    with tarfile.open(path, "w:gz", format=tarfile.GNU_FORMAT) as tar:
        for info, content in (*entries, entry(prefix + PROJECT[0], PROJECT[1])):
            tar.addfile(info, io.BytesIO(content))
    return path


def opened(archive: Path, below: Path, limits: Limits | None = None) -> dict[str, bytes]:
    with extracted(archive, below, limits=limits or Limits()) as unpacked:
        files = [path for path in unpacked.root.rglob("*") if path.is_file()]
        return {str(path.relative_to(unpacked.root)): path.read_bytes() for path in files}


@pytest.fixture
def below(tmp_path: Path) -> Path:
    return tmp_path / "home" / "unpack"


def refused(archive: Path, below: Path, words: str, limits: Limits | None = None) -> None:
    """Refused with those words; nothing is left, and nothing was written beside."""
    around = sorted(path for path in below.parent.parent.rglob("*") if below not in path.parents)
    with pytest.raises(ArchiveInvalid, match=words) as caught:
        opened(archive, below, limits)
    assert caught.value.hint
    assert list(below.iterdir() if below.exists() else []) == []
    left = [p for p in below.parent.parent.rglob("*") if below not in p.parents and p not in around]
    assert [p for p in left if p not in (below, below.parent)] == []


@pytest.mark.parametrize("prefix", ["", "./"])
def test_the_same_files_with_and_without_a_leading_dot(tmp_path: Path, below: Path, prefix: str) -> None:
    directory = entry(prefix + "snippets", type=tarfile.DIRTYPE, mode=0o700)
    archive = make(tmp_path / "a.tar.gz", directory, entry(prefix + "VERSION", b"0.2.4"), prefix=prefix)
    assert opened(archive, below) == {"VERSION": b"0.2.4", "tree/project.json": b"{}"}


def test_an_archive_of_gnu_tar_is_unpacked_privately(tmp_path: Path, below: Path) -> None:
    (tmp_path / "in" / "tree").mkdir(parents=True)
    (tmp_path / "in" / "tree" / "project.json").write_text('{"a":1}')
    long = "x" * 150
    (tmp_path / "in" / "uploads" / long).mkdir(parents=True, mode=0o755)
    (tmp_path / "in" / "uploads" / long / "ä.txt").write_bytes(b"z" * 3_000_000)
    subprocess.run(["tar", "-czf", tmp_path / "a.tar.gz", "-C", tmp_path / "in", "."], check=True)
    with extracted(tmp_path / "a.tar.gz", below) as unpacked:
        upload = unpacked.root / "uploads" / long / "ä.txt"
        assert upload.read_bytes() == b"z" * 3_000_000
        assert upload.stat().st_mode & 0o777 == 0o600
        assert upload.parent.stat().st_mode & 0o777 == 0o700
        assert unpacked.root.stat().st_mode & 0o777 == 0o700
        assert unpacked.size == len(gzip.decompress((tmp_path / "a.tar.gz").read_bytes()))
        assert unpacked.files("uploads") == [upload]
        assert unpacked.file("tree/project.json") is not None
        assert unpacked.file("VERSION") is None
        root = unpacked.root
    assert not root.exists()


def test_what_macos_leaves_is_ignored_and_named(tmp_path: Path, below: Path) -> None:
    litter = [entry("./._VERSION", b"x"), entry("./tree/._project.json", b"x"), entry("./.DS_Store", b"x")]
    archive = make(tmp_path / "a.tar.gz", *litter, entry("__MACOSX/tree/a", b"x"), prefix="./")
    with extracted(archive, below) as unpacked:
        assert [p.name for p in unpacked.root.rglob("*") if p.is_file()] == ["project.json"]
        assert set(unpacked.ignored) == {"._VERSION", "tree/._project.json", ".DS_Store", "__MACOSX/tree/a"}


def test_pax_headers_of_macos_are_read_over(tmp_path: Path, below: Path) -> None:
    info, content = entry("VERSION", b"0.2.4")
    info.pax_headers = {"LIBARCHIVE.xattr.com.apple.provenance": "AQAA", "mtime": "1.5"}
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(info, io.BytesIO(content))
        tar.addfile(entry("tree/project.json", b"{}")[0], io.BytesIO(b"{}"))
    assert opened(path, below)["VERSION"] == b"0.2.4"


LINKS = [
    (entry("tree/a", type=tarfile.SYMTYPE, linkname="project.json"), "symbolic link"),
    (entry("tree/a", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "symbolic link"),
    (entry("tree/a", type=tarfile.LNKTYPE, linkname="tree/project.json"), "hard link"),
    (entry("tree/a", type=tarfile.FIFOTYPE), "named pipe"),
    (entry("tree/a", type=tarfile.CHRTYPE, devmajor=1, devminor=3), "device"),
    (entry("tree/a", type=tarfile.BLKTYPE, devmajor=8, devminor=0), "device"),
]
NAMES = [
    (entry("../evil", b"x"), "leads out"),
    (entry("tree/../../evil", b"x"), "leads out"),
    (entry("./tree/..", type=tarfile.DIRTYPE), "leads out"),
    (entry("..\\evil", b"x"), "leads out"),
    (entry("/tmp/evil", b"x"), "absolute"),
    (entry("//tmp/evil", b"x"), "absolute"),
    (entry("._link", type=tarfile.SYMTYPE, linkname="x"), "symbolic link"),
]


@pytest.mark.parametrize(("bad", "words"), LINKS + NAMES)
def test_unsafe_members_are_refused(
    tmp_path: Path, below: Path, bad: tuple[tarfile.TarInfo, bytes], words: str
) -> None:
    refused(make(tmp_path / "a.tar.gz", entry("VERSION", b"0.2.4"), bad), below, words)


def test_nothing_is_overwritten(tmp_path: Path, below: Path) -> None:
    twice = make(tmp_path / "a.tar.gz", entry("./tree/project.json", b"[]"))
    refused(twice, below, "there twice")
    below_file = make(tmp_path / "b.tar.gz", entry("tree", b"x"))
    refused(below_file, below, "lies below a file")
    both = make(tmp_path / "c.tar.gz", entry("x/y", b"1"), entry("x", b"2"))
    refused(both, below, "file and a directory")


def test_fifty_gigabytes_of_zeros_are_refused_at_once(tmp_path: Path, below: Path) -> None:
    size, piece = 50 * GIB, 64 << 20
    zeros = gzip.compress(b"\0" * piece, 6)
    header = tarfile.TarInfo("uploads/zeros")
    header.size = size
    with (tmp_path / "bomb.tar.gz").open("wb") as file:
        file.write(gzip.compress(header.tobuf(tarfile.GNU_FORMAT)))
        for _ in range(size // piece):
            file.write(zeros)
        file.write(gzip.compress(b"\0" * 10240))
    begun = time.monotonic()
    refused(tmp_path / "bomb.tar.gz", below, "as only a bomb does")
    assert time.monotonic() - begun < 2


def test_sizes_are_judged_together_and_by_the_callers_limit(tmp_path: Path, below: Path) -> None:
    parts = [entry(f"uploads/{n}", os.urandom(400_000)) for n in range(3)]
    archive = make(tmp_path / "a.tar.gz", *parts)
    assert len(opened(archive, below)) == 4
    refused(archive, below, "unpack to more than", Limits(max_size=1_000_000))
    zeros = make(tmp_path / "b.tar.gz", *(entry(f"uploads/{n}", b"\0" * 400_000) for n in range(30)))
    refused(zeros, below, "bomb", Limits(ratio_floor=1 << 20))


def test_zeros_after_the_end_are_a_bomb_too(tmp_path: Path, below: Path) -> None:
    archive = make(tmp_path / "a.tar.gz")
    with archive.open("ab") as file:
        file.write(gzip.compress(b"\0" * (32 << 20)))
    refused(archive, below, "bomb", Limits(ratio_floor=1 << 20))


def test_a_header_may_not_fill_the_memory(tmp_path: Path, below: Path) -> None:
    info = tarfile.TarInfo("x")
    info.size, info.type = 40 * GIB, tarfile.GNUTYPE_LONGNAME
    with gzip.open(tmp_path / "a.tar.gz", "wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT) + b"a" * 10240)
    refused(tmp_path / "a.tar.gz", below, "impossible size")


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.95, 0.999])
def test_a_truncated_archive_is_said_to_be_cut(tmp_path: Path, below: Path, keep: float) -> None:
    archive = make(tmp_path / "a.tar.gz", entry("uploads/1", os.urandom(3_000_000)))
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * keep)])
    refused(archive, below, "cut off")


@pytest.mark.parametrize("cut", [512, 700, 512 + 2048 + 512])
def test_a_tar_that_was_cut_before_compression_is_noticed(tmp_path: Path, below: Path, cut: int) -> None:
    whole = gzip.decompress(make(tmp_path / "a.tar.gz", entry("VERSION", b"x" * 2000)).read_bytes())
    (tmp_path / "b.tar.gz").write_bytes(gzip.compress(whole[:cut]))
    refused(tmp_path / "b.tar.gz", below, "cut off")


def test_damage_in_the_middle_is_no_end(tmp_path: Path, below: Path) -> None:
    tar = bytearray(gzip.decompress(make(tmp_path / "a.tar.gz", entry("VERSION", b"0.2.4")).read_bytes()))
    tar[1024 + 100 : 1024 + 160] = b"\xff" * 60
    (tmp_path / "b.tar.gz").write_bytes(gzip.compress(bytes(tar)))
    refused(tmp_path / "b.tar.gz", below, "no valid tar header")


def test_a_wrong_checksum_is_noticed(tmp_path: Path, below: Path) -> None:
    archive = make(tmp_path / "a.tar.gz")
    data = bytearray(archive.read_bytes())
    data[-8] ^= 0xFF
    archive.write_bytes(data)
    refused(archive, below, "cannot be read as a .tar.gz")


def test_what_is_no_archive_at_all(tmp_path: Path, below: Path) -> None:
    (tmp_path / "text.tar.gz").write_text("hello, I am a text\n" * 100)
    refused(tmp_path / "text.tar.gz", below, "not a gzip file")
    (tmp_path / "packed.tar.gz").write_bytes(gzip.compress(b"hello, I am a text\n" * 100))
    refused(tmp_path / "packed.tar.gz", below, "no valid tar header")
    (tmp_path / "empty.tar.gz").touch()
    refused(tmp_path / "empty.tar.gz", below, "is empty")
    refused(tmp_path, below, "is a directory")
    with pytest.raises(NotFound, match="there is no archive"):
        opened(tmp_path / "none.tar.gz", below)


def test_the_old_format_is_named(tmp_path: Path, below: Path) -> None:
    with tarfile.open(tmp_path / "old.tar.gz", "w:gz") as tar:
        tar.addfile(entry("./project.json", b"{}")[0], io.BytesIO(b"{}"))
    refused(tmp_path / "old.tar.gz", below, "no tree/ but a single project.json")
    with tarfile.open(tmp_path / "other.tar.gz", "w:gz") as tar:
        tar.addfile(entry("README", b"{}")[0], io.BytesIO(b"{}"))
    refused(tmp_path / "other.tar.gz", below, "no project export")
