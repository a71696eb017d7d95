"""Headers and ends, read back by Python's tarfile and GNU tar."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from export_core import tarball


def read_one(header: bytes) -> tarfile.TarInfo:
    with tarfile.open(fileobj=io.BytesIO(header + bytes(1024))) as tar:
        member = tar.next()
    assert member is not None
    return member


@pytest.mark.parametrize(
    "name", ["./VERSION", "./uploads/é\u4e2d/x", "./" + "n" * 99, "./" + "é" * 200, "./a" + "/b" * 300]
)
@pytest.mark.parametrize("size", [0, 511, 8 * 2**30 - 1, 8 * 2**30, 3 * 2**40])
def test_names_and_sizes_of_any_length(name: str, size: int) -> None:
    member = read_one(tarball.file_header(name, size, 1_700_000_000))
    assert (member.name, member.size, member.mtime, member.mode) == (name, size, 1_700_000_000, 0o644)
    assert (member.isreg(), member.uid, member.gid, member.uname) == (True, 0, 0, "git")


def test_directories_are_gitlabs() -> None:
    member = read_one(tarball.directory_header("./tree/", 5))
    assert (member.isdir(), member.mode, member.mtime) == (True, 0o700, 5)


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 10_240])
def test_padding_fills_blocks(size: int) -> None:
    assert (size + len(tarball.padding(size))) % 512 == 0
    assert len(tarball.padding(size)) < 512


@pytest.mark.parametrize("blocks", [0, 1, 17, 18, 19, 20, 21])
def test_end_fills_a_record_with_at_least_two_zero_blocks(blocks: int) -> None:
    end = tarball.end_blocks(blocks * 512)
    assert (blocks * 512 + len(end)) % 10_240 == 0
    assert 1024 <= len(end) < 10_240 + 1024
    assert not any(end)


def test_gnu_tar_lists_the_names_as_given(tmp_path: Path) -> None:
    names = ["./", "./tree/", "./" + "x" * 150, "./tree/ä.txt"]
    parts = [
        tarball.directory_header(name, 0) if name.endswith("/") else tarball.file_header(name, 0, 0)
        for name in names
    ]
    raw = b"".join(parts)
    path = tmp_path / "x.tar"
    path.write_bytes(raw + tarball.end_blocks(len(raw)))
    listed = subprocess.run(
        ["tar", "--quoting-style=literal", "-tf", path], capture_output=True, text=True, check=True
    )
    assert listed.stdout.splitlines() == names
    assert listed.stderr == ""
