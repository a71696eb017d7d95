"""What a pipeline costs that only moves bytes: the yardstick for packmule as a whole product.

Two threads under one snapshot run the same statements, compress what comes, and write one archive. No jobs,
no checks, no resuming, nothing made durable, no repository or files. The statements are given::

    python -m benchmarks.prototype PROJECT.json RESULT.tar.gz [WORKERS]
"""

from __future__ import annotations

import json
import os
import sys
import tarfile
import tempfile
import threading
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import psycopg
from isal import isal_zlib
from psycopg.types.string import ByteaBinaryLoader

PIECE = 1 << 20
BATCHES_OF_A_PART = 2

Packed = list[tuple[int, int, int, int]]
"""Place in the spool, compressed length, raw length and CRC-32 of pieces."""


class Spool:
    """Compressed pieces on disk until the size of their file is known."""

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  for as long as we live
        self.lock = threading.Lock()
        self.end = 0

    def add(self, data: bytes) -> int:
        """Keep some bytes; their place."""
        with self.lock:
            place, self.end = self.end, self.end + len(data)
        os.pwrite(self.file.fileno(), data, place)
        return place


def pack(raw: bytes | memoryview) -> bytes:
    """One piece of a gzip member."""
    compressor = isal_zlib.compressobj(1, zlib.DEFLATED, -15)
    packed: bytes = compressor.compress(raw) + compressor.flush(zlib.Z_FULL_FLUSH)
    return packed


class Reader:
    """One thread's connection."""

    def __init__(self, project: dict[str, Any], snapshot: str) -> None:
        self.project = project
        self.connection = psycopg.connect(project["dsn"], options=project["options"], autocommit=True)
        self.connection.adapters.register_loader("text", ByteaBinaryLoader)
        self.connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        self.connection.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")

    def part(self, relation: dict[str, Any], ids: list[int], spool: Spool) -> Packed:
        """Read and pack the lines of some records."""
        done: Packed = []
        pending = b""
        sql = relation["sql"]
        with psycopg.RawCursor(self.connection) as cursor:
            for at in range(0, len(ids), relation["batch"]):
                values = (ids[at : at + relation["batch"]], self.project["id"], relation["partition"])
                used = values[: 3 if "$3" in sql else 2 if "$2" in sql else 1]
                found: dict[int, bytes] = dict(
                    cursor.execute(sql, used, prepare=True, binary=True).fetchall()
                )
                first, *lines = (found[id] for id in values[0])
                raw = memoryview(b"\n".join([pending + first, *lines, b""]))
                whole = len(raw) // PIECE * PIECE
                for start in range(0, whole, PIECE):
                    done.append(self.piece(raw[start : start + PIECE], spool))
                pending = bytes(raw[whole:])
        return [*done, self.piece(pending, spool)] if pending else done

    def piece(self, raw: bytes | memoryview, spool: Spool) -> tuple[int, int, int, int]:
        """Pack one piece."""
        data = pack(raw)
        return spool.add(data), len(data), len(raw), isal_zlib.crc32(raw)


def write(archive: BinaryIO, spool: Spool, members: list[tuple[str, list[Future[Packed]]]]) -> None:
    """Put the pieces behind their headers."""
    archive.write(b"\x1f\x8b\x08\x00" + bytes(4) + b"\x00\xff")
    crc = size = 0
    for name, parts in members:
        pieces = [piece for part in parts for piece in part.result()]
        length = sum(raw for _, _, raw, _ in pieces)
        entry = tarfile.TarInfo(f"./tree/project/{name}.ndjson")
        entry.size = length
        for literal in (entry.tobuf(), None, bytes(-length % 512)):
            if literal is not None:
                archive.write(pack(literal))
                crc = isal_zlib.crc32_combine(crc, isal_zlib.crc32(literal), len(literal))
                size += len(literal)
                continue
            for place, packed, raw, its_crc in pieces:
                archive.write(os.pread(spool.file.fileno(), packed, place))
                crc = isal_zlib.crc32_combine(crc, its_crc, raw)
                size += raw
    end = bytes(10240 - size % 10240 + 10240)
    crc = isal_zlib.crc32_combine(crc, isal_zlib.crc32(end), len(end))
    archive.write(pack(end) + b"\x03\x00" + crc.to_bytes(4, "little"))
    archive.write((size + len(end) & 0xFFFFFFFF).to_bytes(4, "little"))


def main(project_file: str, result: str, workers: int = 2) -> None:
    """Export a project."""
    project = json.loads(Path(project_file).read_text(encoding="utf-8"))
    spool, local = Spool(), threading.local()
    with psycopg.connect(project["dsn"], options=project["options"], autocommit=True) as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        snapshot = connection.execute("SELECT pg_export_snapshot()").fetchall()[0][0]

        def part(relation: dict[str, Any], ids: list[int]) -> Packed:
            if not hasattr(local, "reader"):
                local.reader = Reader(project, snapshot)
            packed: Packed = local.reader.part(relation, ids, spool)
            return packed

        with ThreadPoolExecutor(workers) as pool:
            members = []
            relations = sorted(project["relations"], key=lambda relation: -len(relation["sql"]))
            for relation in relations:
                rows = psycopg.RawCursor(connection).execute(relation["ids_sql"], (project["id"],)).fetchall()
                ids = [id for (id,) in rows]
                step = BATCHES_OF_A_PART * relation["batch"]
                futures = [
                    pool.submit(part, relation, ids[at : at + step]) for at in range(0, len(ids), step)
                ]
                members.append((relation["name"], futures))
            with Path(result).open("wb") as archive:
                write(archive, spool, members)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
