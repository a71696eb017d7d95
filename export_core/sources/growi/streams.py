"""Pieces of bytes that come one after the other, as a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BufferedReader, RawIOBase
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BUFFER = 1 << 18


class _Pieces(RawIOBase):
    """A raw file over an iterator of bytes."""

    def __init__(self, pieces: Iterator[bytes], done: Callable[[], None]) -> None:
        super().__init__()
        self._pieces = pieces
        self._rest = memoryview(b"")
        self._done = done

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        view = memoryview(buffer).cast("B")
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        if not self.closed:
            self._done()
        super().close()


def _nothing() -> None:
    """The iterator needs no closing."""


def as_file(pieces: Iterator[bytes], done: Callable[[], None] = _nothing) -> BinaryIO:
    """A file that gives the pieces; ``done`` is called when it is closed."""
    return cast(BinaryIO, BufferedReader(_Pieces(pieces, done), _BUFFER))
