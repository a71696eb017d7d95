from __future__ import annotations

import hashlib
import io
import os
import zlib
from pathlib import Path

import pytest

from export_core.errors import ArchiveInvalid, Interrupted
from export_core.events import BytesMoved
from strategies.metering import Meter
from strategies.rate_limit import RateLimit
from strategies.s3_body import PartReader, measure
from strategies.s3_parts import MIB, UploadPart
from tests.strategies.s3_delivery import FileArchive, go_on, random_file

PART = UploadPart(2, 3 * MIB, 2 * MIB)


@pytest.fixture
def archive(tmp_path: Path) -> FileArchive:
    return FileArchive(random_file(tmp_path / "a.tar.gz", 6 * MIB))


@pytest.fixture
def events() -> list[BytesMoved]:
    return []


@pytest.fixture
def reader(archive: FileArchive, events: list[BytesMoved]) -> PartReader:
    meter = Meter(7, 6 * MIB, events.append)  # type: ignore[arg-type]
    return PartReader(archive, PART, meter=meter, limit=RateLimit(None), check_stop=go_on)


def slice_of(archive: FileArchive) -> bytes:
    return archive.file.read_bytes()[PART.offset : PART.offset + PART.size]


def test_the_digest_is_of_the_slice(archive: FileArchive) -> None:
    digest = measure(archive, PART, go_on)
    data = slice_of(archive)
    assert digest.etag == hashlib.md5(data).hexdigest()
    assert digest.crc32 == zlib.crc32(data)


def test_headers_as_s3_wants_them() -> None:
    """Examples of other people: RFC 1864 names the MD5 header; 123456789 is CRC-32's check value cbf43926."""
    empty = io.BytesIO(b"123456789")

    class Nine:
        def open(self, offset: int = 0) -> io.BytesIO:
            return empty

    digest = measure(Nine(), UploadPart(1, 0, 9), go_on)  # type: ignore[arg-type]
    assert digest.crc32_base64 == "y/Q5Jg=="
    assert digest.md5_base64 == "JfnnlDI7RTiF9RgfG2JNCw=="


def test_it_reads_its_slice_and_nothing_more(archive: FileArchive, reader: PartReader) -> None:
    assert b"".join(iter(lambda: reader.read(100_000), b"")) == slice_of(archive)
    assert reader.read(1) == b""
    assert reader.tell() == PART.size


def test_only_what_is_sent_counts(reader: PartReader, events: list[BytesMoved]) -> None:
    """boto3 reads a body to sign it, then sends it, and after a broken connection sends it again."""
    reader.read()
    assert events == []
    reader.seek(0)
    reader.begin()
    reader.read(MIB)
    assert events[-1].done == MIB
    reader.seek(0)
    reader.begin()
    assert events[-1].done == 0
    while reader.read(16384):
        pass
    assert events[-1].done == PART.size


def test_it_seeks_like_a_file(archive: FileArchive, reader: PartReader) -> None:
    assert reader.seek(0, os.SEEK_END) == PART.size
    assert reader.read(1) == b""
    assert reader.seek(-10, os.SEEK_CUR) == PART.size - 10
    assert reader.read(100) == slice_of(archive)[-10:]
    assert reader.seek(5) == 5
    assert reader.read(3) == slice_of(archive)[5:8]


def test_an_archive_that_ends_early_is_our_failure(archive: FileArchive, reader: PartReader) -> None:
    os.truncate(archive.file, PART.offset + 10)
    with pytest.raises(ArchiveInvalid):
        reader.read(10) and reader.read(10)
    assert isinstance(reader.failure, ArchiveInvalid)


def test_it_stops_between_blocks(archive: FileArchive) -> None:
    def stop() -> None:
        raise Interrupted("Ctrl-C")

    meter = Meter(7, 6 * MIB, lambda _: None)
    reader = PartReader(archive, PART, meter=meter, limit=RateLimit(None), check_stop=stop)
    with pytest.raises(Interrupted):
        reader.read(10)


def test_a_limited_part_is_sent_in_small_steps(archive: FileArchive) -> None:
    """So that no step takes so long that the server takes us for dead."""
    waits: list[float] = []
    limit = RateLimit(MIB, clock=lambda: sum(waits), sleep=waits.append)
    reader = PartReader(archive, PART, meter=Meter(7, None, lambda _: None), limit=limit, check_stop=go_on)
    reader.begin()
    assert len(reader.read(16384)) == 16384
    while reader.read(16384):
        pass
    assert sum(waits) == pytest.approx(2.0, abs=0.1)
