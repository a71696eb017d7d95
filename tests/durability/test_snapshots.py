"""Data that changes between a kill and its resume: the mixture is shown, and ``--strict`` refuses it."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from export_core.sources.embedded.instance import EmbeddedInstance
from export_core.workspace import Home
from tests.durability.scene import Scene, digest

PROJECT = "packmule/demo"
WORDS = ("export", PROJECT, "--no-reuse", "--workers", "1")


def change(scene: Scene, *statements: str) -> None:
    """Do something in the embedded instance's database."""
    instance = EmbeddedInstance(Home(scene.home))
    with instance.session(), instance.connect() as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount > 0, statement


def lines(archive: Path, relation: str) -> list[dict[str, Any]]:
    with tarfile.open(archive) as tar:
        file = tar.extractfile(f"./tree/project/{relation}.ndjson")
        assert file is not None
        return [json.loads(line) for line in file.read().splitlines()]


RENAME = (
    "UPDATE issues SET title = 'renamed issue ' || id",
    "UPDATE milestones SET title = 'renamed milestone ' || id",
)
DELETE = "DELETE FROM issues WHERE id = (SELECT max(id) FROM issues)"


def killed_before(scene: Scene, relation: str, *more: str) -> tuple[Path, set[str]]:
    """An export that was killed when a relation was about to be read; what was done of it by then."""
    target = scene.out / "x.tar.gz"
    assert scene.run(*WORDS, "--to", str(target), *more, kill=f"begun-{relation}:1").killed
    done = scene.finished(1)
    assert done
    return target, done


@pytest.fixture
def order(demo: Scene) -> tuple[str, str]:
    """Two relations that have lines: one that is read early, one that is read late, by one worker."""
    return "issues", "milestones"


def test_a_resumed_export_says_which_came_from_which(demo: Scene) -> None:
    target, done = killed_before(demo, "milestones")
    assert "issues.0" in done
    change(demo, *RENAME)
    demo.good("resume")
    assert not [line for line in lines(target, "issues") if line["title"].startswith("renamed")]
    assert all(line["title"].startswith("renamed") for line in lines(target, "milestones"))
    shown = demo.show(1)
    first, second = shown["snapshots"]
    assert "issues" in first["relations"]
    assert "milestones" not in first["relations"]
    assert "milestones" in second["relations"]
    assert "issues" not in second["relations"]
    (warning,) = [text for text in shown["warnings"] if "snapshots" in text]
    assert "milestones" in warning
    demo.nothing_is_left()


def test_a_record_that_was_deleted_meanwhile(demo: Scene) -> None:
    demo.good("export", PROJECT, "--to", str(demo.out / "before.tar.gz"))
    before = len(lines(demo.out / "before.tar.gz", "issues"))
    target = demo.out / "x.tar.gz"
    assert demo.run(*WORDS, "--to", str(target), kill="begun-issues:1").killed
    change(demo, DELETE)
    demo.good("resume")
    assert len(lines(target, "issues")) == before - 1
    demo.nothing_is_left()


@pytest.mark.parametrize("words", [("--strict",), ()], ids=["strict", "restart"])
def test_strict_and_restart_read_all_from_one_snapshot(demo: Scene, words: tuple[str, ...]) -> None:
    target, _ = killed_before(demo, "milestones", *words)
    change(demo, *RENAME)
    demo.good("resume", *([] if words else ["1", "--restart"]))
    for relation in ("issues", "milestones"):
        assert all(line["title"].startswith("renamed") for line in lines(target, relation))
    shown = demo.show(1)
    assert len(shown["snapshots"]) == 1
    assert not [text for text in shown["warnings"] if "snapshots" in text]
    fresh = demo.out / "fresh.tar.gz"
    demo.good(*WORDS, "--to", str(fresh))
    assert digest(target) == digest(fresh)
    demo.nothing_is_left()


def test_strict_keeps_a_job_that_needs_nothing_more(demo: Scene) -> None:
    """All parts were read before the kill: there is nothing to mix."""
    target = demo.out / "x.tar.gz"
    assert demo.run(*WORDS, "--to", str(target), "--strict", kill="fingerprint:1").killed
    demo.good("resume")
    assert {times for _, times, _ in demo.parts(1).values()} == {1}
    assert len(demo.show(1)["snapshots"]) == 1


def test_a_plan_of_which_nothing_is_done_is_made_anew(demo: Scene) -> None:
    """Else the new snapshot would be read by the ids of the old one, and nobody told."""
    target = demo.out / "x.tar.gz"
    assert demo.run(*WORDS, "--to", str(target), kill="planned:1").killed
    change(demo, *RENAME, DELETE)
    demo.good("resume")
    fresh = demo.out / "fresh.tar.gz"
    demo.good(*WORDS, "--to", str(fresh))
    assert digest(target) == digest(fresh)
    assert len(demo.show(1)["snapshots"]) == 1
