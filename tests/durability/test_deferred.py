"""Deferred parts have states, counts and times like others; progress goes on where it stood."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.durability.harness import FAKE
from tests.durability.scene import Scene

FILES = int(FAKE["files"])


def uploads(scene: Scene, job: int = 1) -> dict[str, Any]:
    (found,) = [r for r in scene.show(job)["relations"] if r["name"] == "uploads"]
    return dict(found)


def events(path: Path, name: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if line["message"] == name]


def test_files_are_counted(large: Scene) -> None:
    large.good("export", "a/b", "--source", "fake")
    found = uploads(large)
    assert (found["status"], found["lines"], found["parts"]) == ("finished", FILES, 1)
    content = FILES * int(FAKE["file_size"])
    assert content < found["bytes"] < content + FILES * 1536  # a tar header and padding each
    assert {status for status, _, _ in large.parts(1).values()} == {"finished"}


@pytest.mark.parametrize(
    "kill", ["begun-uploads:1", "checkpoint:4", "part-in-archive:1", "made:1", "archived:1"]
)
def test_a_kill_in_the_archive(large: Scene, kill: str) -> None:
    assert large.run("export", "a/b", "--source", "fake", kill=kill).killed
    large.good("resume")
    found = uploads(large)
    assert (found["status"], found["lines"]) == ("finished", FILES)
    assert {times for _, times, _ in large.parts(1).values()} == {1}


def test_staged_files_are_counted_too(scene: Scene) -> None:
    """Where the archive is only streamed, the files are parts as others are; see test_upload."""
    from export_core.source import Selection
    from export_core.worker_pool import WorkerPool
    from export_core.workers import PartWork, PartWorkers
    from export_core.workspace import Workspace
    from tests.fake_source import FakeReader, FakeSource

    source = FakeSource()
    (part,) = [p for p in source.open("a/b", {}).plan(Selection()).parts if p.deferred]
    work = PartWork(Workspace(scene.root / "w"), 1, 0, lambda: None)
    with WorkerPool(1) as pool:
        workers = PartWorkers(pool, lambda: FakeReader(source), lambda part: None)
        (done,) = workers.run([part], work)
    assert done.segment.lines == source.files


def test_progress_goes_on_where_it_stood(large: Scene) -> None:
    assert large.run("export", "a/b", "--source", "fake", kill="finished:15").killed
    done = large.finished(1)
    log = large.root / "log"
    large.good("--log-file", str(log), "resume")
    planned = {event["relation"]: event for event in events(log, "RelationPlanned")}
    for relation in ("issues", "merge_requests"):
        parts = len([name for name in done if name.startswith(relation)])
        lines = parts * int(FAKE["lines"]) // int(FAKE["parts"])
        assert (planned[relation]["parts_done"], planned[relation]["lines_done"]) == (parts, lines)
        assert planned[relation]["lines"] == FAKE["lines"]
    told = [f"{event['relation']}.{event['part']}" for event in events(log, "PartFinished")]
    assert sorted([*told, *done]) == sorted(large.parts(1))


def test_progress_of_the_archive_goes_on_where_it_stood(large: Scene) -> None:
    assert large.run("export", "a/b", "--source", "fake", kill="checkpoint:3").killed
    stood = large.store.load_checkpoint(1, "archive")["offset"]
    log = large.root / "log"
    large.good("--log-file", str(log), "resume")
    moved = [event for event in events(log, "BytesMoved") if event["phase"] == "archiving"]
    assert moved[0]["done"] == stood > 0
    assert moved[-1]["done"] == moved[-1]["total"] == large.show(1)["archive"]["size"]
