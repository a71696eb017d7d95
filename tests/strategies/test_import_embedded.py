"""import-project into the embedded instance, with a loader that keeps what it is given."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import strategies
from export_core.delivery import Strategy
from export_core.errors import ArchiveInvalid, DestinationUnusable, UsageError
from export_core.job import ArchiveInfo
from strategies.import_embedded import ImportEmbedded
from strategies.surroundings import Surroundings
from strategies.words import Words
from tests.strategies.contract import (
    FileArchive,
    MemoryCheckpoint,
    StrategyContract,
    StreamedArchive,
    context,
    make_job,
)

DATA = os.urandom(1 << 16)
PATH = "group/new"


@dataclass
class Instance:
    """Stands for the embedded instance: full paths and what was loaded there."""

    projects: dict[str, bytes] = field(default_factory=dict)
    errors: list[Exception] = field(default_factory=list)
    broken: Exception | None = None

    def load(self, archive: Path, path: str) -> Mapping[str, Any]:
        if self.errors:
            raise self.errors.pop()
        if self.broken:
            raise self.broken
        self.projects[path] = archive.read_bytes()
        return {"relations": {"issues": 3}, "warnings": ["relation snippets has an unknown key"]}

    def surroundings(self) -> Surroundings:
        return Surroundings(load_archive=self.load, project_exists=self.projects.__contains__)


@dataclass
class EmbeddedCase:
    instance: Instance
    file: FileArchive
    store: Path
    surroundings: Surroundings
    secrets: tuple[str, ...] = ()

    def strategy(self) -> Strategy:
        return ImportEmbedded(f"embedded:{PATH}", str(self.store), self.surroundings)

    def archive(self) -> FileArchive:
        return self.file

    def unusable(self) -> Strategy:
        self.instance.projects["group/taken"] = b""
        return ImportEmbedded("embedded:group/taken", str(self.store), self.surroundings)

    def fail_once(self) -> None:
        self.instance.errors.append(DestinationUnusable("the server went away", hint="resume"))

    def recover(self) -> None:
        """By itself."""

    def fail_for_good(self) -> None:
        self.instance.projects.clear()
        self.instance.broken = DestinationUnusable("no room", hint="make room")

    def delivered(self) -> bytes | None:
        return self.instance.projects.get(PATH)

    def leftovers(self) -> list[str]:
        kept = [str(path) for path in self.store.rglob("*")]
        return kept + [path for path in self.instance.projects if path != PATH]


@pytest.fixture
def case(tmp_path: Path) -> EmbeddedCase:
    (tmp_path / "archive").write_bytes(DATA)
    instance = Instance()
    return EmbeddedCase(
        instance, FileArchive(tmp_path / "archive", DATA), tmp_path / "store", instance.surroundings()
    )


class TestEmbedded(StrategyContract):
    pass


def test_what_the_loader_says_is_kept_with_the_job(case: EmbeddedCase) -> None:
    delivery = case.strategy().deliver(case.archive(), context())
    assert delivery.details["loaded"]["relations"] == {"issues": 3}
    assert delivery.warnings == ("relation snippets has an unknown key",)
    assert delivery.destination == "embedded:group/new"


def test_a_name_taken_since_the_check_is_refused_and_the_archive_kept(case: EmbeddedCase) -> None:
    case.strategy().check(make_job(), None)
    case.instance.projects[PATH] = b"precious"
    with pytest.raises(DestinationUnusable, match="already") as error:
        case.strategy().deliver(case.archive(), context())
    assert case.delivered() == b"precious"
    kept = case.store / "7" / case.archive().file_name
    assert str(kept) in str(error.value.hint)
    assert kept.read_bytes() == DATA
    assert kept.stat().st_nlink == 2, "a second name, not a second copy"


def test_checking_on_resume_accepts_the_project_that_this_job_made(case: EmbeddedCase) -> None:
    checkpoint, strategy = MemoryCheckpoint(), case.strategy()
    strategy.deliver(case.archive(), context(checkpoint))
    strategy.check(make_job(ArchiveInfo(None, len(DATA), case.archive().sha256)), None)
    strategy.deliver(case.archive(), context(checkpoint))
    with pytest.raises(DestinationUnusable, match="already"):
        strategy.check(make_job(), None)


def test_an_archive_that_cannot_be_loaded_is_kept(case: EmbeddedCase) -> None:
    case.instance.broken = ArchiveInvalid("no VERSION", hint="look at it")
    with pytest.raises(ArchiveInvalid) as error:
        case.strategy().deliver(case.archive(), context())
    assert str(error.value.hint).startswith("look at it; the archive is kept at ")
    case.strategy().abandon(make_job(), MemoryCheckpoint())
    assert not (case.store / "7").exists()
    assert case.archive().file.exists()


def test_an_archive_without_a_file_is_refused(case: EmbeddedCase) -> None:
    with pytest.raises(UsageError, match="needs a local archive"):
        case.strategy().deliver(StreamedArchive(DATA), context())


def test_without_a_loader_the_missing_extra_is_named(case: EmbeddedCase) -> None:
    with pytest.raises(DestinationUnusable) as error:
        ImportEmbedded("embedded:group/new").deliver(case.archive(), context())
    assert "packmule[embedded]" in str(error.value.hint)


@pytest.mark.parametrize(
    "to", ["embedded:", "embedded:new", "embedded:group/../new", "embedded:group/new project"]
)
def test_a_path_that_cannot_be_is_wrong_usage(to: str) -> None:
    with pytest.raises(UsageError):
        ImportEmbedded.from_words(Words(to=to))


def test_still_there(case: EmbeddedCase) -> None:
    assert not case.strategy().still_there(make_job())
    case.strategy().deliver(case.archive(), context())
    assert case.strategy().still_there(make_job())


SAMPLE = Path(__file__).parents[3] / "shared" / "archives" / "gitlab-13.8-sample.tar.gz"


@pytest.mark.skipif(not SAMPLE.exists(), reason="needs the shared archives")
def test_a_real_archive_into_the_real_instance(tmp_path: Path) -> None:
    """Through the program's own wiring, with a work directory's file name."""
    from cli.wiring import Wiring

    wiring = Wiring(environ={"PACKMULE_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)})
    file = tmp_path / "archive.tar.gz.partial"
    file.write_bytes(SAMPLE.read_bytes())
    archive = FileArchive(file, SAMPLE.read_bytes())
    words = Words(to="embedded:group/new", store_dir=str(wiring.home.archives))
    strategy = wiring.strategy_for(strategies.choose(None, words))
    strategy.check(make_job(), None)
    delivery = strategy.deliver(archive, context())
    lines = {relation["name"]: relation["lines"] for relation in delivery.details["loaded"]["relations"]}
    with tarfile.open(SAMPLE) as opened:
        issues = opened.extractfile(next(m for m in opened if m.name.endswith("tree/project/issues.ndjson")))
        assert issues is not None
        assert lines["issues"] == len(issues.readlines())
    assert strategy.still_there(make_job())
    with pytest.raises(DestinationUnusable, match="already"):
        strategy.check(make_job(), None)
