"""move-file and notification keep the contract, on one file system and across two."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from export_core.delivery import Strategy
from strategies.move_file import MoveFile
from strategies.notification import Notification
from strategies.surroundings import Surroundings
from tests.strategies.contract import FileArchive, StrategyContract, context

DATA = os.urandom(1 << 20) * 20


@dataclass
class LocalCase:
    """A strategy that moves a file from ``work`` to ``there``."""

    kind: str
    work: Path
    there: Path
    surroundings: Surroundings = field(default_factory=Surroundings)
    secrets: tuple[str, ...] = ()

    @property
    def target(self) -> Path:
        if self.kind == "move-file":
            return self.there / "out.tar.gz"
        return self.there / "7" / self.archive().file_name

    def strategy(self) -> Strategy:
        if self.kind == "move-file":
            return MoveFile(str(self.target))
        return Notification(str(self.there))

    def archive(self) -> FileArchive:
        return FileArchive(self.work / "archive.tar.gz.partial", DATA)

    def unusable(self) -> Strategy:
        if self.kind == "move-file":
            return MoveFile(str(self.there / "missing" / "out.tar.gz"))
        return Notification(str(self.work / "archive.tar.gz.partial"))

    def fail_once(self) -> None:
        """A directory under the file's name."""
        self.target.unlink(missing_ok=True)
        self.target.mkdir(parents=True)

    def recover(self) -> None:
        self.target.rmdir()

    def fail_for_good(self) -> None:
        self.fail_once()

    def delivered(self) -> bytes | None:
        return self.target.read_bytes() if self.target.is_file() else None

    def leftovers(self) -> list[str]:
        return [str(path) for path in self.there.rglob("*") if path.is_file() and path != self.target]


@pytest.fixture
def other_file_system() -> Iterator[Path]:
    """A directory in memory."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        yield Path(directory)


@pytest.fixture(params=["same file system", "another file system"])
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Where archives go, next to the work directory or not."""
    if request.param == "same file system":
        (tmp_path / "there").mkdir()
        return tmp_path / "there"
    if not Path("/dev/shm").is_dir() or Path("/dev/shm").stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system here")
    directory: Path = request.getfixturevalue("other_file_system")
    return directory


@pytest.fixture(params=["move-file", "notification"])
def case(request: pytest.FixtureRequest, tmp_path: Path, there: Path) -> LocalCase:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "archive.tar.gz.partial").write_bytes(DATA)
    return LocalCase(request.param, tmp_path / "work", there)


class TestLocal(StrategyContract):
    def test_the_file_is_private(self, case: LocalCase) -> None:
        old = os.umask(0)
        try:
            case.archive().file.chmod(0o644)
            case.strategy().deliver(case.archive(), context())
        finally:
            os.umask(old)
        assert case.target.stat().st_mode & 0o777 == 0o600
        assert not case.archive().file.exists()
