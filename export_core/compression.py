"""One gzip member made of independent pieces, so that many threads can compress and nobody twice.

A raw stream is cut every MiB, by the raw stream alone. Each piece is raw deflate (RFC 1951) with an empty
window at its start and a full flush at its end, so that pieces can be put behind one another in any
number; a gzip member (RFC 1952) is a header, such pieces, one empty final block, and the checksum and
length of the whole, which are combined from those of the pieces.
"""

from __future__ import annotations

import functools
import struct
import zlib
from dataclasses import dataclass
from typing import Any

_isal: Any
try:
    from isal import isal_zlib as _isal
except ImportError:  # no wheel for this machine
    _isal = None

PIECE_SIZE = 1 << 20
"""Raw bytes of a piece: 256 KiB would cost 1.5 % in size, and larger gains nothing."""

DEFAULT_LEVEL = 1
FASTEST_ISAL, BEST_ISAL = 1, 3

GZIP_HEADER = b"\x1f\x8b\x08\x00" + bytes(4) + b"\x00\xff"
"""No name, no time, unknown system: the bytes depend on the content alone."""

_FIRST_BYTES = 8
"""What of a piece isal is given before the rest; see ``_isal_deflate``."""

_FINAL_BLOCK = b"\x03\x00"
_STORED_MAX = 0xFFFF
_CRC_POLYNOMIAL = 0xEDB88320


@dataclass(frozen=True, slots=True)
class Piece:
    """Compressed bytes with the length and CRC-32 of what they hold."""

    data: bytes
    raw_size: int
    crc32: int


def compress(raw: bytes | memoryview, level: int = DEFAULT_LEVEL) -> bytes:
    """Raw deflate of one piece, ended by a full flush; stored where it would not shrink.

    ``level`` is 0 (store) to 9 as for gzip: 1 to 3 are isal's, the others zlib's, as are all where isal
    is missing. isal's own level 0 is never used: it expands what does not compress by 14 %.
    """
    if not raw:
        return b""
    if level == 0:
        return store(raw)
    if _isal is not None and FASTEST_ISAL <= level <= BEST_ISAL:
        packed = _isal_deflate(memoryview(raw), level)
    else:
        compressor = zlib.compressobj(level, zlib.DEFLATED, -15)
        packed = compressor.compress(raw) + compressor.flush(zlib.Z_FULL_FLUSH)
    return packed if len(packed) < len(raw) else store(raw)


def _isal_deflate(raw: memoryview, level: int) -> bytes:
    # ISA-L 2.32's loop for levels 1 and 2 (igzip_icf_body_h1_gr_bt.asm, .write_first_byte) hashes a stale
    # register in place of the third to sixth byte of a stream: the address of the compressor. One piece in
    # thousands then comes out a few bytes longer, depending on where memory was free. A stream whose first
    # bytes were flushed is past that place when the loop begins, for some 10 bytes a piece.
    compressor = _isal.compressobj(level, zlib.DEFLATED, -15)
    return b"".join(
        (
            compressor.compress(raw[:_FIRST_BYTES]),
            compressor.flush(zlib.Z_SYNC_FLUSH),
            compressor.compress(raw[_FIRST_BYTES:]),
            compressor.flush(zlib.Z_FULL_FLUSH),
        )
    )


def store(raw: bytes | memoryview) -> bytes:
    """Stored deflate blocks: 5 bytes for each 65535."""
    view = memoryview(raw)
    blocks: list[bytes | memoryview] = []
    for start in range(0, len(view), _STORED_MAX):
        block = view[start : start + _STORED_MAX]
        blocks += (struct.pack("<BHH", 0, len(block), len(block) ^ _STORED_MAX), block)
    return b"".join(blocks)


def make_piece(raw: bytes | memoryview, level: int = DEFAULT_LEVEL) -> Piece:
    """Compress one piece and checksum it; safe in any thread, and releases the GIL."""
    return Piece(compress(raw, level), len(raw), crc32(raw))


def gzip_trailer(crc: int, raw_size: int) -> bytes:
    """What ends the member: the empty final block, the CRC-32 and the length modulo 2**32."""
    return _FINAL_BLOCK + struct.pack("<II", crc, raw_size & 0xFFFFFFFF)


def crc32(data: bytes | memoryview, value: int = 0) -> int:
    """CRC-32 of ``data`` behind bytes whose CRC-32 is ``value``."""
    result: int = (_isal or zlib).crc32(data, value)
    return result


def crc32_combine(first: int, second: int, second_length: int) -> int:
    """CRC-32 of two byte strings put together, from theirs and the length of the second."""
    if _isal is not None:
        result: int = _isal.crc32_combine(first, second, second_length)
        return result
    return _combine_by_algebra(first, second, second_length)


def _combine_by_algebra(first: int, second: int, second_length: int) -> int:
    # Appending n zero bytes multiplies the CRC by x**8n modulo the polynomial; CRCs are linear over GF(2).
    return _multiply(_power_of_x8(second_length), first) ^ second


@functools.lru_cache(maxsize=256)
def _power_of_x8(exponent: int) -> int:
    """``x**(8 * exponent)`` modulo the CRC polynomial; bits reflected, so that x**0 is the highest."""
    result, square = 1 << 31, 1 << 23
    while exponent:
        if exponent & 1:
            result = _multiply(square, result)
        square = _multiply(square, square)
        exponent >>= 1
    return result


def _multiply(a: int, b: int) -> int:
    product = 0
    for bit in range(31, -1, -1):
        if a >> bit & 1:
            product ^= b
        b = (b >> 1) ^ (_CRC_POLYNOMIAL if b & 1 else 0)
    return product


class PieceCutter:
    """Cuts a stream fed in blocks of any size into pieces of exactly PIECE_SIZE, with few copies."""

    def __init__(self) -> None:
        self._pending: list[bytes | memoryview] = []
        self._size = 0

    def feed(self, data: bytes | memoryview) -> list[bytes | memoryview]:
        """The pieces that ``data`` completes. They may be views of ``data``: use them before it changes."""
        if self._size + len(data) < PIECE_SIZE:
            self._keep(data)
            return []
        view = memoryview(data)
        start = PIECE_SIZE - self._size if self._size else 0
        pieces: list[bytes | memoryview] = []
        if start:
            pieces.append(b"".join([*self._pending, view[:start]]))
        end = start + (len(view) - start) // PIECE_SIZE * PIECE_SIZE
        pieces += (view[at : at + PIECE_SIZE] for at in range(start, end, PIECE_SIZE))
        self._pending, self._size = [], 0
        self._keep(view[end:])
        return pieces

    def rest(self) -> bytes:
        """The last, shorter piece; empty when the stream ended with a piece. The cutter is then empty."""
        rest = b"".join(self._pending)
        self._pending, self._size = [], 0
        return rest

    def _keep(self, data: bytes | memoryview) -> None:
        # A view would keep the whole of a large buffer alive: its short rest is copied.
        if data:
            self._pending.append(data if isinstance(data, bytes) else bytes(data))
            self._size += len(data)
