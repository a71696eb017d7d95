"""What speed must not change, and what it stands on: whole exports of the embedded instance's projects."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from export_core.source import Plan, Selection
from export_core.sources.embedded.demo import load_demo
from export_core.sources.embedded.demo_scale import make_scale
from export_core.sources.embedded.instance import EmbeddedInstance
from export_core.sources.embedded.source import EmbeddedSource
from export_core.sources.gitlab_db import reader as reader_module
from export_core.sources.gitlab_db.reader import GitlabReader, resting_time
from tests.foreign_readers import INFLATERS, LISTERS, run_tool

ISSUES = 1100
"""More than one part of issues, and not a whole number of parts."""
WORKERS = [1, 2, 7]
HEAVY = "boto3 botocore apprise pymongo gitlab httpx requests moto"
WITHOUT_HEAVY = f"""
import sys
from cli.main import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("imported:", *[name for name in "{HEAVY}".split() if name in sys.modules], file=sys.stderr)
"""


@pytest.fixture(scope="module")
def projects(embedded: EmbeddedInstance) -> dict[str, str]:
    """A project with something of everything, and one with several parts in a relation."""
    return {"demo": load_demo(embedded).project, "scale": make_scale(embedded, ISSUES, lambda text: None)}


def packmule(
    embedded: EmbeddedInstance, *words: object, code: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line; the members' time is always the same."""
    command = [sys.executable, "-c", code or "from cli.main import main; main()", *map(str, words)]
    environment = {**os.environ, "PACKMULE_HOME": str(embedded.home.root), "SOURCE_DATE_EPOCH": "1700000000"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)


@pytest.fixture(scope="module")
def archives(
    embedded: EmbeddedInstance, projects: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, int], Path]:
    place = tmp_path_factory.mktemp("archives")
    made = {}
    for name, path in projects.items():
        for workers in WORKERS:
            made[name, workers] = place / f"{name}-{workers}.tar.gz"
            to = ("--to", made[name, workers], "--no-reuse", "--quiet")
            packmule(embedded, "export", path, *to, "--workers", workers)
    return made


@pytest.mark.parametrize("name", ["demo", "scale"])
def test_the_number_of_workers_changes_no_byte(archives: dict[tuple[str, int], Path], name: str) -> None:
    digests = {hashlib.sha256(archives[name, workers].read_bytes()).hexdigest() for workers in WORKERS}

    assert len(digests) == 1


@pytest.fixture(scope="module")
def scale_archive(archives: dict[tuple[str, int], Path]) -> Path:
    return archives["scale", 7]


def test_the_joined_parts_hold_every_record_once_and_in_order(scale_archive: Path) -> None:
    with tarfile.open(scale_archive, "r:gz") as archive:
        issues = archive.extractfile("./tree/project/issues.ndjson")
        assert issues is not None
        iids = [json.loads(line)["iid"] for line in issues]

    assert iids == list(range(1, ISSUES + 1))


@pytest.mark.parametrize("mode", ["r:gz", "r|gz"])
def test_python_reads_every_member(scale_archive: Path, mode: str) -> None:
    plain = gzip.decompress(scale_archive.read_bytes())
    with tarfile.open(scale_archive, mode) as archive:  # type: ignore[call-overload]
        sizes = {member.name: member.size for member in archive if member.isfile()}

    assert sizes["./tree/project/issues.ndjson"] > 1000 * ISSUES
    assert sum(sizes.values()) < len(plain) < sum(sizes.values()) + 2048 * len(sizes) + 20480


@pytest.mark.parametrize("tool", LISTERS)
def test_tars_list_every_member(scale_archive: Path, tool: str) -> None:
    with tarfile.open(scale_archive) as archive:
        names = [member.name.rstrip("/") for member in archive]

    listed = run_tool(LISTERS[tool], scale_archive).decode().split()

    # busybox leaves out "./", and bsdtar may.
    assert [name.rstrip("/").removeprefix("./") for name in listed if name not in ("./", ".")] == [
        name.removeprefix("./") for name in names if name != "."
    ]


@pytest.mark.parametrize("tool", INFLATERS)
def test_inflaters_give_the_same_bytes(scale_archive: Path, tool: str) -> None:
    inflated = run_tool(INFLATERS[tool], scale_archive)

    assert (
        hashlib.sha256(inflated).digest()
        == hashlib.sha256(gzip.decompress(scale_archive.read_bytes())).digest()
    )


def test_gzip_finds_nothing_wrong(scale_archive: Path) -> None:
    run_tool(["gzip", "-t"], scale_archive)


def test_parts_follow_from_the_snapshot_alone(embedded: EmbeddedInstance, projects: dict[str, str]) -> None:
    one, other = (_plan(embedded, projects["scale"]) for _ in range(2))

    assert one == other
    assert [part.lines for part in one.parts if part.relation == "issues"] == [1000, ISSUES - 1000]


def _plan(embedded: EmbeddedInstance, path: str) -> Plan:
    snapshot = EmbeddedSource("embedded", embedded).open(path, {})
    try:
        return snapshot.plan(Selection())
    finally:
        snapshot.close()


@pytest.mark.parametrize("words", [["--help"], ["list"], ["export", "--help"]])
def test_looking_imports_nothing_heavy(embedded: EmbeddedInstance, words: list[str]) -> None:
    assert packmule(embedded, *words, code=WITHOUT_HEAVY).stderr == "imported:\n"


def test_an_export_to_a_file_imports_nothing_of_other_destinations(
    embedded: EmbeddedInstance, projects: dict[str, str], tmp_path: Path
) -> None:
    words = ["export", projects["demo"], "--to", tmp_path / "a.tar.gz", "--quiet", "--no-reuse"]

    assert packmule(embedded, *words, code=WITHOUT_HEAVY).stderr == "imported:\n"


# --- going easy on a live primary


@pytest.mark.parametrize(
    ("busy", "pause", "share", "wait"),
    [
        (2.0, 0.0, None, 0.0),
        (2.0, 0.5, None, 0.5),
        (2.0, 0.0, 1.0, 0.0),
        (2.0, 0.0, 0.5, 2.0),
        (2.0, 0.0, 0.25, 6.0),
        (2.0, 9.0, 0.25, 9.0),
    ],
)
def test_work_is_at_most_the_allowed_share_of_the_time(
    busy: float, pause: float, share: float | None, wait: float
) -> None:
    assert resting_time(busy, pause, share) == pytest.approx(wait)


class Clock:
    """Time that passes only when somebody sleeps, or when a batch takes its second."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        self.now += 0.5  # asked before and after a batch: each takes half a second
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Sink:
    """Counts the looks at the stop flag."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.looks = 0
        self._stop_at = stop_at

    def write(self, data: bytes) -> None: ...

    def lines(self, count: int) -> None: ...

    def warn(self, message: str) -> None: ...

    def file(self, name: str, data: bytes) -> None: ...

    def check_stop(self) -> None:
        self.looks += 1
        if self.looks == self._stop_at:
            raise InterruptedError


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("export_core.sources.gitlab_db.reader.time", clock)
    monkeypatch.setattr("export_core.sources.gitlab_db.rows.time", clock)
    return clock


@pytest.fixture
def throttled(
    embedded: EmbeddedInstance, projects: dict[str, str], request: pytest.FixtureRequest
) -> Iterator[tuple[GitlabReader, Plan]]:
    source = EmbeddedSource("embedded", embedded)
    snapshot = source.open(projects["scale"], request.param)
    reader = source.reader(snapshot.token)
    try:
        yield reader, snapshot.plan(Selection(("issues",)))
    finally:
        reader.close()
        snapshot.close()


@pytest.mark.parametrize(
    ("throttled", "rest"), [({"pause": 0.1}, 0.1), ({"max_db_load": 0.25}, 1.5)], indirect=["throttled"]
)
def test_a_worker_rests_after_each_batch(
    throttled: tuple[GitlabReader, Plan], rest: float, clock: Clock
) -> None:
    reader, plan = throttled
    (first, *_) = plan.parts

    reader.read(first, Sink())

    # A part of 1000 issues is three statements: 62 that tell how long the lines are, 500 and the rest.
    assert sum(clock.slept) == pytest.approx(3 * rest)


@pytest.mark.parametrize("throttled", [{"pause": 3600.0}], indirect=True)
def test_a_resting_worker_hears_that_it_is_to_stop(
    throttled: tuple[GitlabReader, Plan], clock: Clock
) -> None:
    reader, plan = throttled

    with pytest.raises(InterruptedError):
        reader.read(plan.parts[0], Sink(stop_at=5))

    assert sum(clock.slept) <= 4 * reader_module._REST_STEP


@pytest.mark.parametrize("throttled", [{}], indirect=True)
def test_nobody_rests_unless_asked_to(throttled: tuple[GitlabReader, Plan], clock: Clock) -> None:
    reader, plan = throttled

    reader.read(plan.parts[0], Sink())

    assert clock.slept == []


# --- what readers share


def test_readers_of_one_snapshot_find_tables_and_statements_out_once(
    embedded: EmbeddedInstance, projects: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = EmbeddedSource("embedded", embedded)
    snapshot = source.open(projects["scale"], {})
    asked: list[str] = []
    monkeypatch.setattr(reader_module, "read_catalog", lambda *_: asked.append("catalog"))
    try:
        readers = [source.reader(snapshot.token) for _ in range(2)]
        renderers = [reader.renderer("main") for reader in readers]
        assert renderers[0] is renderers[1]
        assert asked == []
        for reader in readers:
            reader.close()
    finally:
        snapshot.close()


def test_snapshots_share_nothing_with_each_other(
    embedded: EmbeddedInstance, projects: dict[str, str]
) -> None:
    source = EmbeddedSource("embedded", embedded)
    one, other = (source.open(projects["scale"], {}) for _ in range(2))
    try:
        readers = [source.reader(snapshot.token) for snapshot in (one, other)]
        assert readers[0].knowledge is not readers[1].knowledge
        for reader in readers:
            reader.close()
    finally:
        one.close()
        other.close()
