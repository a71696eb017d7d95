"""Exports many wiki pages from memory and says how many a second, and how much memory that took.

    python -m benchmarks.growi_pages [--pages 100000] [--bytes 3000] [--rounds 3]

Pages are made on demand by number, so that the memory measured is packmule's and not the wiki's. Each case is
a process of its own: reader to a sink that drops everything (plain; with links rewritten and front matter),
and the same pages through two workers into durable segments. Prints one JSON document: pages a second (median
of the rounds), the same by CPU time for a busy machine, seconds for freezing the list, MB that the job store
keeps, peak RSS in MB, also for a tenth of the pages.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from export_core.segment import SegmentWriter, seal_segment
from export_core.source import Part, Selection
from export_core.sources.growi.memory import MemoryStore
from export_core.sources.growi.options import Options
from export_core.sources.growi.reader import GrowiReader
from export_core.sources.growi.records import PageRecord
from export_core.sources.growi.snapshot import freeze
from export_core.workspace import Home

CASES = ("plain", "links", "engine")
_PARAGRAPH = (
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore. "
    "Ut enim ad `minim veniam`, quis nostrud exercitation ullamco laboris nisi ut aliquip ex ea commodo.\n\n"
)


class GeneratedStore(MemoryStore):
    """A wiki of so many pages, in folders of a hundred; every page links to two others."""

    def __init__(self, pages: int, size: int) -> None:
        super().__init__({"pages": ()}, {}, "https://wiki.example.com")
        self._pages = pages
        self._text = _PARAGRAPH * max(1, size // len(_PARAGRAPH))

    def pages(self, path: str) -> Iterator[PageRecord]:  # noqa: ARG002 - all of them
        for number in range(self._pages):
            key = f"{number:024x}"
            where = f"/Team {number // 10_000}/Project {number // 100}/Page {number}"
            yield PageRecord(key, where, key, created="2024-05-01T00:00:00.000Z", author="alice")

    def bodies(self, revisions: Sequence[tuple[str, str]]) -> Mapping[str, str]:
        return {revision: self._body(int(revision, 16)) for _, revision in revisions}

    def _body(self, number: int) -> str:
        other = (number * 7919) % self._pages
        link = f"/Team {other // 10_000}/Project {other // 100}/Page {other}".replace(" ", "%20")
        return f"# Page {number}\n\n[there]({link}), [beside](Page%20{number + 1})\n\n{self._text}"


class DroppingSink:
    """Counts and drops."""

    def __init__(self) -> None:
        self.pages = self.bytes = 0

    def file(self, name: str, data: bytes) -> None:  # noqa: ARG002
        self.bytes += len(data)

    def write(self, data: bytes) -> None:
        self.bytes += len(data)

    def lines(self, count: int) -> None:
        self.pages += count

    def warn(self, message: str) -> None:
        raise AssertionError(message)

    def check_stop(self) -> None:
        pass


def run(case: str, pages: int, size: int) -> dict[str, float]:
    """One case in this process."""
    store = GeneratedStore(pages, size)
    began = time.perf_counter()
    linked = case != "plain"
    snapshot = freeze(store, "/", Options(rewrite_links=linked, front_matter=linked))
    parts = [part for part in snapshot.plan(Selection()).parts if part.relation == "pages"]
    frozen, used = time.perf_counter(), time.process_time()
    if case == "engine":
        _through_segments(store, snapshot.token, parts)
    else:
        reader, sink = GrowiReader(store, snapshot.token), DroppingSink()
        for part in parts:
            reader.read(part, sink)
        assert sink.pages == pages
    ended, worked = time.perf_counter(), time.process_time()
    stored = sum(len(json.dumps(part.payload)) for part in parts) + len(json.dumps(snapshot.details))
    return {
        "pages_a_second": pages / (ended - frozen),
        "pages_a_cpu_second": pages / (worked - used),
        "freeze_seconds": frozen - began,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "stored_mb": stored / 1e6,
    }


def _through_segments(store: GeneratedStore, token: str, parts: Sequence[Part]) -> None:
    """Two workers that compress into durable segments, as the engine has them."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        workspace = Home(Path(folder)).job(1)

        def export(part: Part) -> None:
            with SegmentWriter(workspace, part.relation, part.number) as writer:
                GrowiReader(store, token).read(part, writer)
                segment = writer.close()
            seal_segment(workspace, segment)

        list(pool.map(export, parts))


def measure(case: str, pages: int, size: int, rounds: int) -> dict[str, Any]:
    """The median over processes of their own."""
    words = [sys.executable, "-m", "benchmarks.growi_pages", "--case", case]
    words += ["--pages", str(pages), "--bytes", str(size)]
    found = [json.loads(subprocess.check_output(words)) for _ in range(rounds)]
    return {key: round(statistics.median(one[key] for one in found), 2) for key in found[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=100_000)
    parser.add_argument("--bytes", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", choices=CASES)
    given = parser.parse_args()
    if given.case:
        print(json.dumps(run(given.case, given.pages, given.bytes)))
        return
    result: dict[str, Any] = {"pages": given.pages, "bytes_a_page": given.bytes}
    for case in CASES:
        result[case] = measure(case, given.pages, given.bytes, given.rounds)
        result[case]["peak_rss_mb_for_a_tenth"] = measure(case, given.pages // 10, given.bytes, 1)[
            "peak_rss_mb"
        ]
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
