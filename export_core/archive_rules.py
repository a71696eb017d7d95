"""What may be in an archive that somebody else made: the rules of ``archive_reader``.

Two independent sets of rules stand behind our own (tarsafe's, and the ``data`` filter of tarfile). Ours are
stricter than both: only plain files and directories come in, each name once, and sizes are judged by what a
header announces, before any content is decompressed, so that a bomb costs nothing.
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import PurePosixPath

from tarsafe import TarSafe

LONGEST_HEADER = 1 << 20
"""Bytes of one extended tar header. Real ones (long names, macOS attributes) have some hundred; tarfile
reads them into memory whole."""
_EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an archive may hold, in bytes once decompressed."""

    max_size: int = 100 << 30
    """GitLab's own default is 25 GiB; administrators of large projects raise it."""
    max_ratio: int = 200
    """Decompressed size against the size of the file. Project data reaches about 10, gzip's limit is 1032."""
    ratio_floor: int = 256 << 20
    """Below this size the ratio says nothing: a small archive of zeros harms nobody."""

    def refusal(self, total: int, compressed: int) -> str | None:
        """Why ``total`` bytes out of a file of ``compressed`` bytes are too many, or None."""
        if total > self.max_size:
            return f"it would unpack to more than {gib(self.max_size)}"
        if total > self.ratio_floor and total > self.max_ratio * compressed:
            times = total // max(compressed, 1)
            return f"it would unpack to {gib(total)}, {times} times its own size, as only a bomb does"
        return None


DEFAULT_LIMITS = Limits()


class StrictTarInfo(tarfile.TarInfo):
    """Tells a broken header from the end: tarfile itself takes both for the end and loses what follows."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> StrictTarInfo:
        """Parse a header; refuse sizes that are negative or would fill the memory."""
        info = super().frombuf(buf, encoding, errors)
        if info.size < 0 or (info.type in _EXTENDED and info.size > LONGEST_HEADER):
            raise tarfile.ReadError("a header announces an impossible size")
        return info

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> StrictTarInfo:
        """Read the next header; raise EOFError where the archive is cut, ReadError where it is broken."""
        try:
            return super().fromtarfile(tarfile)
        except HeaderError as exc:
            kind = type(exc).__name__
            if kind == "EOFHeaderError":  # a block of zeros: the regular end
                raise
            if kind in ("EmptyHeaderError", "TruncatedHeaderError") and tarfile.offset:
                raise EOFError("no end-of-archive mark") from exc
            raise ReadError("there is no valid tar header where one should be") from exc


HeaderError = tarfile.HeaderError
ReadError = tarfile.ReadError


class SafeTar(TarSafe):  # type: ignore[misc]  # tarsafe has no annotations
    """tarsafe's rules, asked member by member: its own check needs a pass over the whole archive."""

    def forbids(self, info: tarfile.TarInfo, root: str) -> bool:
        """Whether tarsafe would refuse to extract the archive because of this member."""
        rules = (self._is_traversal_attempt, self._is_unsafe_symlink, self._is_unsafe_link)
        return any(rule(tarinfo=info, root=root) for rule in rules) or self._is_device(tarinfo=info)


_KINDS = (
    (tarfile.TarInfo.issym, "is a symbolic link"),
    (tarfile.TarInfo.islnk, "is a hard link"),
    (tarfile.TarInfo.isfifo, "is a named pipe"),
    (tarfile.TarInfo.isdev, "is a device"),
)
_NOWHERE = "/nonexistent/packmule"
"""Both sets of rules judge names against a root; this one is never written to, so any will do."""


def member_fault(tar: SafeTar, info: tarfile.TarInfo) -> str | None:
    """Why a member may not come in, as the end of a sentence about it; None when it may."""
    for is_kind, words in _KINDS:
        if is_kind(info):
            return words
    if not (info.isreg() or info.isdir()):
        return "is neither a file nor a directory"
    if info.name.startswith(("/", "\\")):
        return "has an absolute path"
    if ".." in info.name.replace("\\", "/").split("/"):
        return "leads out of the archive"
    if "\0" in info.name or tar.forbids(info, _NOWHERE):
        return "has an unsafe name"
    return _filter_fault(info)


def _filter_fault(info: tarfile.TarInfo) -> str | None:
    """What the ``data`` filter says. Before Python 3.11.4 there is none; the other rules stand alone."""
    if not hasattr(tarfile, "data_filter"):
        return None
    try:
        tarfile.data_filter(info, _NOWHERE)
    except tarfile.FilterError as exc:
        return f"is refused: {exc}"
    return None


def clean_name(name: str) -> str:
    """A member's path without ``./``; empty for the root itself."""
    clean = str(PurePosixPath(name))
    return "" if clean == "." else clean


def is_litter(name: str) -> bool:
    """Whether macOS left it: AppleDouble files, folder settings, its zip folder."""
    parts = PurePosixPath(name).parts
    return any(part.startswith("._") or part in (".DS_Store", "__MACOSX") for part in parts)


def shown(name: str) -> str:
    """A member's name for a message: printable and not endless."""
    text = name.encode("utf-8", "backslashreplace").decode()
    return repr(text if len(text) <= 120 else text[:117] + "...")


def gib(size: int) -> str:
    """A size in bytes for a message."""
    return f"{size / (1 << 30):.1f} GiB"
