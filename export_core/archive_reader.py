"""Opening archives that somebody else made, without trusting them.

One streaming pass: the compressed bytes are read once, members are looked at in their order, and nothing is
ever written outside the directory that the caller gave. What may come in is said in ``archive_rules``.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from export_core.archive_rules import (
    DEFAULT_LIMITS,
    Limits,
    SafeTar,
    StrictTarInfo,
    clean_name,
    is_litter,
    member_fault,
    shown,
)
from export_core.errors import ArchiveInvalid, DestinationUnusable, NotFound
from export_core.gitlab.layout import ROOT_OBJECT

CHUNK = 1 << 20
_HINT = "make the archive again, or copy it again from where it came"
_BROKEN = (EOFError, OSError, zlib.error, tarfile.TarError, RecursionError, ValueError)
"""What gzip, isal and tarfile raise on damaged input."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file of the archive. ``stream`` is valid until the next member is asked for."""

    name: str
    """Path without ``./`` in front."""
    size: int
    stream: BinaryIO


@dataclass(frozen=True, slots=True)
class Extracted:
    """An archive unpacked into a private directory."""

    root: Path
    ignored: tuple[str, ...] = ()
    """Members that macOS or a repack added, left out."""
    size: int = 0
    """Decompressed size of the tar in bytes."""

    def file(self, name: str) -> Path | None:
        """The unpacked file of that member name, or None when the archive has none."""
        path = self.root / name
        return path if path.is_file() else None

    def files(self, directory: str) -> list[Path]:
        """All files below a directory of the archive, in the order of their names."""
        return sorted(path for path in (self.root / directory).rglob("*") if path.is_file())


@dataclass(slots=True)
class ArchiveReader:
    """The members of one archive, in one pass.

    ``problem`` hears of every bad member, which is then skipped; by default it raises ArchiveInvalid. What
    makes reading on impossible (damage, a bomb) raises ArchiveInvalid in any case.
    """

    path: Path
    limits: Limits = DEFAULT_LIMITS
    problem: Callable[[str], None] | None = None
    ignored: list[str] = field(default_factory=list)
    directories: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    size: int = 0
    """Decompressed bytes, so far."""
    compressed: int = 0

    def members(self) -> Iterator[Member]:
        """Each regular file once. Raises NotFound, ArchiveInvalid; so do reads from a member's stream."""
        self.compressed = check_file(self.path)
        try:
            with _open_gzip(self.path) as data:
                yield from self._walk(data)
                self._drain(data)
        except _BROKEN as exc:
            raise _broken(self.path, exc) from exc

    def _walk(self, data: BinaryIO) -> Iterator[Member]:
        with closing(SafeTar.open(fileobj=data, mode="r|", bufsize=CHUNK, tarinfo=StrictTarInfo)) as tar:
            while (info := tar.next()) is not None:
                tar.members.clear()  # it would keep every header of the archive in memory
                self._check_size(info.offset_data + info.size, info.name)
                name = self._admit(tar, info)
                if name is not None:
                    yield Member(name, info.size, _open_member(self.path, tar, info))

    def _drain(self, data: BinaryIO) -> None:
        """Read to the end of the file, so that gzip's checksum is checked."""
        while data.read(CHUNK):
            self._check_size(data.tell(), "(after the last)")
        self.size = data.tell()

    def _check_size(self, total: int, name: str) -> None:
        self.size = total
        refusal = self.limits.refusal(total, self.compressed)
        if refusal:
            raise ArchiveInvalid(
                f"{self.path} is refused at its member {shown(name)}: {refusal}",
                hint="take another archive; if you trust this one, unpack and look at it by hand",
            )

    def _admit(self, tar: SafeTar, info: tarfile.TarInfo) -> str | None:
        """The clean name of a file that may come in; None for what is skipped."""
        name = clean_name(info.name)
        fault = member_fault(tar, info) or self._clash(name, directory=info.isdir())
        if fault is not None:
            self._refuse(f"member {shown(info.name)} {fault}")
        elif is_litter(name):
            self.ignored.append(name)
        elif info.isdir():
            self.directories.add(name)
        else:
            self.names.add(name)
            self.directories.update(map(str, PurePosixPath(name).parents))
            return name
        return None

    def _refuse(self, message: str) -> None:
        if self.problem is None:
            raise ArchiveInvalid(
                f"{self.path} is refused: {message}",
                hint="no project export has such members; take it from a source that you trust",
            )
        self.problem(message)

    def _clash(self, name: str, *, directory: bool) -> str | None:
        """Whether a name would overwrite what another member put there."""
        if any(str(parent) in self.names for parent in PurePosixPath(name).parents):
            return "lies below a file"
        if directory:
            return "is a file and a directory" if name in self.names else None
        if not name:
            return "is a file without a name"
        if name in self.names:
            return "is there twice"
        return "is a file and a directory" if name in self.directories else None


@contextmanager
def extracted(archive: Path, below: Path, *, limits: Limits = DEFAULT_LIMITS) -> Iterator[Extracted]:
    """Unpack an archive into a new private directory below ``below``, removed at the end of the block.

    Directories are 0700 and files 0600 whatever the archive says. Raises NotFound, ArchiveInvalid, and
    DestinationUnusable when there is no room; after an error nothing is left.
    """
    reader = ArchiveReader(archive, limits)
    check_file(archive)
    below.mkdir(mode=0o700, parents=True, exist_ok=True)
    root = Path(tempfile.mkdtemp(prefix="unpack-", dir=below))
    try:
        try:
            for member in reader.members():
                _write(root, member)
            for name in sorted(reader.directories):
                _make_directory(root / name, root)
        except OSError as exc:
            raise DestinationUnusable(
                f"{archive} cannot be unpacked in {below}: {exc.strerror}", hint="is there room left?"
            ) from exc
        missing = missing_tree(reader.names)
        if missing:
            raise ArchiveInvalid(f"{archive}: {missing[0]}", hint=missing[1])
        yield Extracted(root, tuple(reader.ignored), reader.size)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def missing_tree(names: set[str]) -> tuple[str, str] | None:
    """What is wrong, and what to do, when an archive has no ``tree/project.json``; None when it has."""
    if ROOT_OBJECT in names:
        return None
    if "project.json" in names:
        return (
            "it has no tree/ but a single project.json, the format of old GitLab versions",
            "import it into a GitLab of its own version, upgrade that, and export again from there",
        )
    return "it has no tree/project.json, so it is no project export", "give an archive of a project export"


def check_file(path: Path) -> int:
    """The size of a file that may be a gzip file, in bytes. Raises NotFound, ArchiveInvalid."""
    if not path.exists():
        raise NotFound(f"there is no archive {path}", hint="check the path")
    if not path.is_file():
        kind = "a directory" if path.is_dir() else "not a regular file"
        raise ArchiveInvalid(f"{path} is {kind}, not an archive", hint="give the path of a .tar.gz file")
    try:
        with path.open("rb") as file:
            magic = file.read(2)
            size = os.fstat(file.fileno()).st_size
    except OSError as exc:
        raise ArchiveInvalid(f"{path} cannot be read: {exc.strerror}", hint="check its permissions") from exc
    if not size:
        raise ArchiveInvalid(f"{path} is empty", hint=_HINT)
    if magic != b"\x1f\x8b":
        raise ArchiveInvalid(f"{path} is not a gzip file", hint="a project export is a .tar.gz file")
    return size


def _broken(path: Path, exc: BaseException) -> ArchiveInvalid:
    if isinstance(exc, EOFError) or "unexpected end of data" in str(exc):
        return ArchiveInvalid(f"{path} is cut off: its end is missing", hint=_HINT)
    return ArchiveInvalid(f"{path} cannot be read as a .tar.gz: {exc}", hint=_HINT)


def _open_gzip(path: Path) -> BinaryIO:
    try:
        from isal import igzip as gzip
    except ImportError:  # no wheel for this machine
        import gzip  # type: ignore[no-redef]
    opened: Any = gzip.open
    stream: BinaryIO = opened(path, "rb")
    return stream


class _Content(io.RawIOBase):
    """A member's bytes; damage is told in our words wherever it is met."""

    def __init__(self, path: Path, inner: Any) -> None:
        self._path = path
        self._inner = inner

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            count: int = self._inner.readinto(buffer)
        except _BROKEN as exc:
            raise _broken(self._path, exc) from exc
        return count


def _open_member(path: Path, tar: Any, info: tarfile.TarInfo) -> BinaryIO:
    # The buffer of tarfile's own reader is 8 KiB, which costs more time than decompressing.
    return io.BufferedReader(_Content(path, tar.extractfile(info).raw), CHUNK)


def _write(root: Path, member: Member) -> None:
    path = root / member.name
    _make_directory(path.parent, root)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError as exc:  # names that differ in case only, where the file system does not care
        raise ArchiveInvalid(f"member {shown(member.name)} is there twice", hint=_HINT) from exc
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        while chunk := member.stream.read(CHUNK):
            file.write(chunk)


def _make_directory(path: Path, root: Path) -> None:
    missing = []
    while path != root and not path.exists():
        missing.append(path)
        path = path.parent
    for directory in reversed(missing):
        with suppress(FileExistsError):
            directory.mkdir(mode=0o700)
