"""The bytes of one part on their way: measured once, then streamed, never held in memory as a whole."""

from __future__ import annotations

import base64
import hashlib
import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from export_core.delivery import Archive
from export_core.errors import ArchiveInvalid
from strategies.metering import Meter
from strategies.rate_limit import RateLimit
from strategies.s3_parts import UploadPart

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_BLOCK = 1 << 18
"""urllib3 asks for 16 KiB at a time; bigger blocks let other threads work while one is written."""


@dataclass(frozen=True, slots=True)
class PartDigest:
    """What the server must find when it counts over the bytes."""

    md5: bytes
    crc32: int

    @property
    def etag(self) -> str:
        """The ETag of a part or of a single PUT, where nothing is encrypted by KMS."""
        return self.md5.hex()

    @property
    def md5_base64(self) -> str:
        """As in the header Content-MD5."""
        return base64.b64encode(self.md5).decode()

    @property
    def crc32_base64(self) -> str:
        """As in the header x-amz-checksum-crc32."""
        return base64.b64encode(self.crc32.to_bytes(4, "big")).decode()


def measure(archive: Archive, part: UploadPart, check_stop: Callable[[], None]) -> PartDigest:
    """Read a part once. MD5 is here S3's checksum against damage, not a protection against forgery."""
    md5, crc32, left = hashlib.md5(usedforsecurity=False), 0, part.size
    with archive.open(part.offset) as stream:
        while left:
            check_stop()
            block = _read(stream, min(left, 4 * _BLOCK))
            md5.update(block)
            crc32 = zlib.crc32(block, crc32)
            left -= len(block)
    return PartDigest(md5.digest(), crc32)


def _read(stream: BinaryIO, count: int) -> bytes:
    block = stream.read(count)
    if count and not block:
        raise ArchiveInvalid(
            "the archive ended too early while it was uploaded", hint="somebody changed it; export again"
        )
    return block


class PartReader(io.RawIOBase):
    """A part as a seekable file. boto3 may read it to sign it, and reads it again for every attempt.

    Only bytes that are really sent are counted and held to the rate limit: ``begin`` says when that starts.
    """

    def __init__(
        self,
        archive: Archive,
        part: UploadPart,
        *,
        meter: Meter,
        limit: RateLimit,
        check_stop: Callable[[], None],
    ) -> None:
        self._archive = archive
        self._part = part
        self._meter = meter
        self._limit = limit
        self._check_stop = check_stop
        self._stream: BinaryIO | None = None
        self._position = 0
        self._sending = False
        self._sent = 0
        self.failure: Exception | None = None
        """What went wrong on our side while boto3 read; boto3 would call it a broken connection."""

    def begin(self) -> None:
        """From here on every byte read goes over the network; bytes of an earlier attempt do not count."""
        if self._sent:
            self._meter.rewind(self._sent)
        self._sent = 0
        self._sending = True

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always; the archive is opened anew."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes; while sending without a limit perhaps more than asked for, which urllib3 allows."""
        try:
            return self._next(self._part.size if size is None or size < 0 else size)
        except Exception as exc:
            self.failure = exc
            raise

    def _next(self, size: int) -> bytes:
        self._check_stop()
        if self._sending and self._limit.rate is None:
            size = max(size, _BLOCK)
        size = min(size, self._part.size - self._position)
        if size == 0:
            return b""
        self._stream = self._stream or self._archive.open(self._part.offset + self._position)
        block = _read(self._stream, size)
        self._position += len(block)
        if self._sending:
            self._count(len(block))
        return block

    def _count(self, count: int) -> None:
        self._limit.take(count, self._check_stop)
        self._sent += count
        self._meter.add(count)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go elsewhere; what is read from there is not being sent until ``begin``."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._part.size}[whence]
        if start + offset != self._position:
            self._let_go()
        self._position = start + offset
        self._sending = False
        return self._position

    def tell(self) -> int:
        """Bytes from the part's start."""
        return self._position

    def close(self) -> None:
        """Close the archive's stream."""
        self._let_go()
        super().close()

    def _let_go(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def count_bodies(client: S3Client) -> None:
    """Make the client tell every PartReader when its bytes are about to be sent."""
    client.meta.events.register("before-send.s3", _begin_body)


def _begin_body(request: Any, **_: Any) -> None:
    if isinstance(request.body, PartReader):
        request.body.begin()
