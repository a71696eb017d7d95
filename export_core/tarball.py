"""Tar headers, paddings and end blocks as bytes. They depend on name, size and time alone.

GNU format: GitLab imports with GNU tar, and long names, UTF-8 names and files beyond 8 GiB need no
second header format in it. Owner and modes are those of GitLab's own archives.
"""

from __future__ import annotations

import tarfile

BLOCK = 512
RECORD = 10240
"""GNU tar ends an archive at a multiple of 20 blocks, and warns about others when reading from a tape."""

_FILE_MODE, _DIRECTORY_MODE = 0o644, 0o700
_OWNER = "git"


def file_header(name: str, size: int, mtime: int) -> bytes:
    """The header of a regular file; a long name takes a block or more of its own."""
    return _header(name, mtime, size=size, kind=tarfile.REGTYPE, mode=_FILE_MODE)


def directory_header(name: str, mtime: int) -> bytes:
    """The header of a directory."""
    return _header(name, mtime, size=0, kind=tarfile.DIRTYPE, mode=_DIRECTORY_MODE)


def padding(size: int) -> bytes:
    """The zeros that fill up a file of ``size`` bytes to whole blocks."""
    return bytes(-size % BLOCK)


def end_blocks(raw_size: int) -> bytes:
    """What ends a tar of ``raw_size`` bytes: two zero blocks, filled up to a whole record."""
    return bytes(2 * BLOCK + -(raw_size + 2 * BLOCK) % RECORD)


def _header(name: str, mtime: int, *, size: int, kind: bytes, mode: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.type, info.mode = size, mtime, kind, mode
    info.uname = info.gname = _OWNER
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
