r"""Page paths as file names that every file system takes.

A segment of a page path becomes one name by percent-escaping (UTF-8 bytes in upper-case hex, as in RFC 3986)
whatever some file system forbids or changes: control and bidirectional characters, ``" * / : < > ? \ |`` and
``%`` itself, a blank or dot at either end, Windows' device names, characters that are not in Unicode's
composed form (NFC). That is a bijection, so cleaning never makes two pages one. What it cannot undo is marked
by ``~`` and hex digits of a SHA-256, and looked up in ``pages.json``: names that would differ only by case,
names too long, the same path twice.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from hashlib import sha256

EXTENSION = ".md"
TOP = "_top"
"""The file of the page ``/``, which has no name of its own."""
ATTACHMENTS = "_attachments"
LONG = "_long"
"""Where pages go whose whole name is longer than some systems' limit."""
INDEX = "pages.json"
EMPTY = "%"
"""The name of an empty segment; a lone ``%`` cannot come from anything else."""

MAX_SEGMENT_BYTES = 200
MAX_NAME_BYTES = 700
"""macOS takes 1,024 bytes for a whole path; the rest is for the folder in which the archive is unpacked."""
_MAX_WALKED = 4000

_HASH_DIGITS = 12
_RESERVED_AT_ROOT = frozenset({TOP, ATTACHMENTS, LONG, INDEX})
_FORBIDDEN = re.compile(
    '[\x00-\x1f\x7f-\x9f"%*/:<>?\\\\|\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]'
)
_ENDS = re.compile(r"^[. ]|[. ]\Z")
_DEVICE = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³]) *(?:\.|\Z)", re.IGNORECASE)
_LIKE_A_PAGE = re.compile(r"\.(?=md\Z)", re.IGNORECASE)
_LIKE_A_HASH = re.compile(r"~(?=[0-9a-f]{12,}\Z)")
_HARMLESS = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_ -]{0,150}[A-Za-z0-9_-])?\Z")
_CUT_ESCAPE = re.compile(r"%[0-9A-F]?\Z")


def clean(segment: str, *, at_root: bool = False) -> str:
    """One segment of a page path as a file name without extension."""
    if _HARMLESS.match(segment) and not _DEVICE.match(segment):
        return _reserve(segment) if at_root else segment
    if not segment:
        return EMPTY
    name = _ENDS.sub(_escape, _FORBIDDEN.sub(_escape, segment))
    name = _LIKE_A_PAGE.sub(_escape, name)
    name = _LIKE_A_HASH.sub(_escape, name)
    if _DEVICE.match(name):
        name = _escape_first(name)
    if at_root:
        name = _reserve(name)
    name = _compose(name)  # last: an accent on a dot that became "%2E" would go to the E
    return name if len(name.encode()) <= MAX_SEGMENT_BYTES else shorten(name, segment)


def fold(name: str) -> str:
    """What is equal for two names that some file system takes for the same one (case, ignorable marks)."""
    if name.isascii():
        return name.lower()
    visible = "".join(c for c in name if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", visible).upper().casefold())


def shorten(name: str, original: str, limit: int = MAX_SEGMENT_BYTES) -> str:
    """The beginning of a name and a hash of what it stood for, in at most ``limit`` bytes."""
    room = limit - _HASH_DIGITS - 1
    beginning = _CUT_ESCAPE.sub("", name.encode()[:room].decode("utf-8", "ignore"))
    return beginning.rstrip(". ") + _mark(original)


def attachment_name(attachment: str, original: str) -> str:
    """The member name of an attachment: its id makes it unique, its own name makes it readable."""
    stem, dot, extension = original.rpartition(".")
    if not stem or len(extension) > 16 or not (extension.isascii() and extension.isalnum()):
        stem, dot, extension = original, "", ""
    return f"{ATTACHMENTS}/{clean(attachment)}-{clean(stem)}{dot}{extension}"


class Namer:
    """Gives each page its file. Pages must come in the order of their paths: of names that clash, the first
    keeps its own, so the same pages get the same names every time.
    """

    def __init__(self) -> None:
        self._owners: dict[str, str] = {}
        """Folded name -> the page path, or beginning of one, that has it."""
        self._last = ""
        self._parent = ("", "")
        """The folder of the last page and its name: most pages have the same as the one before."""

    def file(self, path: str, page: str) -> str:
        """The member name of a page; ``page`` is its id, which tells two pages of the same path apart."""
        stem = self._stem(path)
        if path == self._last:
            stem += _mark(f"{path}\0{page}")
        self._last = path
        return stem + EXTENSION

    def _stem(self, path: str) -> str:
        if path in {"/", ""}:
            return TOP
        if len(path) > _MAX_WALKED:
            return self._long(path)
        folder, _, last = path.rpartition("/")
        if folder != self._parent[0]:
            self._parent = folder, self._walk(folder)
        stem = self._name(self._parent[1], path, last)
        return stem if len(stem.encode()) <= MAX_NAME_BYTES else self._long(path)

    def _walk(self, folder: str) -> str:
        """The name of a folder, from the root down."""
        stem = prefix = ""
        for segment in folder.split("/")[1:]:
            prefix = f"{prefix}/{segment}"
            stem = self._name(stem, prefix, segment)
        return stem

    def _name(self, parent: str, prefix: str, segment: str) -> str:
        """The name of one page or folder: its own, or with a mark when another has that one already."""
        own = f"{parent}/{clean(segment)}" if parent else clean(segment, at_root=True)
        stem, digits = own, _HASH_DIGITS
        while self._owners.setdefault(fold(stem), prefix) != prefix:
            stem = own + _mark(prefix, digits)
            digits += 2
        return stem

    @staticmethod
    def _long(path: str) -> str:
        return f"{LONG}/{shorten(clean(path.rpartition('/')[2]), path, 100)}"


def assign(pages: Iterable[tuple[str, str]]) -> list[str]:
    """The files of pages given as (path, id), in the order given, which must be that of the paths."""
    namer = Namer()
    return [namer.file(path, page) for path, page in pages]


def _mark(text: str, digits: int = _HASH_DIGITS) -> str:
    return "~" + sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:digits]


def _escape(match: re.Match[str]) -> str:
    return _percent(match.group())


def _percent(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))


def _escape_first(name: str) -> str:
    return _percent(name[0]) + name[1:]


def _reserve(name: str) -> str:
    return _escape_first(name) if fold(name) in _RESERVED_AT_ROOT else name


def _compose(text: str) -> str:
    """Escape what keeps a text from being NFC, rather than normalise it away."""
    if text.isascii() or unicodedata.is_normalized("NFC", text):
        return text
    composed = "".join(_percent(c) if _changes(c) else c for c in text)
    if unicodedata.is_normalized("NFC", composed):
        return composed
    return "".join(c if c.isascii() else _percent(c) for c in text)


def _changes(char: str) -> bool:
    return bool(unicodedata.combining(char)) or not unicodedata.is_normalized("NFC", char)
