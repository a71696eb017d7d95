"""``packmule doctor``: what the machine and a source can do."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from export_core import machine
from export_core.sources import SOURCES, SourceKind
from export_core.workspace import Home
from tests.cli.conftest import CommandLine


def test_everything_is_listed(packmule: CommandLine) -> None:
    result = packmule.run("doctor", "--source", "fake")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "machine:" in result.stdout
    assert "source fake:" in result.stdout
    assert "ok       reachable: a fake" in result.stdout
    assert "warning  speed: nobody knows" in result.stdout


def test_what_failed_is_exit_code_5(packmule: CommandLine) -> None:
    (packmule.control / "refuse").touch()
    result = packmule.run("doctor", "--source", "fake")
    assert result.exit_code == 5
    assert "FAILED   reachable" in result.stdout
    assert "1 check" in result.stderr


def test_json(packmule: CommandLine) -> None:
    document = packmule.run("doctor", "--source", "fake", "--json").json
    assert (document["source"], document["healthy"]) == ("fake", True)
    named = {(check["of"], check["name"]): check["status"] for check in document["checks"]}
    assert named["source", "speed"] == "warning"
    assert {"git", "disk", "home", "clock", "compression"} <= {name for of, name in named if of == "machine"}


def test_a_source_that_cannot_even_be_made_is_a_failed_check(packmule: CommandLine) -> None:
    SOURCES["fake"] = SourceKind("package_that_is_missing.source", frozenset({"control"}), extra="fakes")  # type: ignore[index]
    result = packmule.run("doctor", "--source", "fake")
    assert result.exit_code == 5
    assert "FAILED   source:" in result.stdout


def test_a_source_that_nobody_knows_is_wrong_usage(packmule: CommandLine) -> None:
    assert packmule.run("doctor", "--source", "nowhere").exit_code == 2


class TestMachine:
    """The machine's own checks."""

    def test_git_is_asked(self) -> None:
        said = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout.strip()
        assert said in machine.git_check().message

    def test_no_git(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        assert shutil.which("git") is None
        assert machine.git_check().status == "failed"

    @pytest.mark.parametrize(
        ("version", "status"), [((1, 8), "failed"), ((2, 39), "warning"), ((2, 50), "ok"), ((3, 0), "ok")]
    )
    def test_versions_of_git(self, version: tuple[int, int], status: str) -> None:
        assert machine.git_version_check(version, "git version x").status == status

    @pytest.mark.parametrize(("mode", "status"), [(0o700, "ok"), (0o750, "warning"), (0o755, "warning")])
    def test_rights_of_the_home(self, tmp_path: Path, mode: int, status: str) -> None:
        home = Home(tmp_path / "home")
        home.root.mkdir()
        home.root.chmod(mode)
        assert next(iter(machine.home_checks(home.root))).status == status

    def test_room_is_that_of_the_file_system(self, tmp_path: Path) -> None:
        stat = os.statvfs(tmp_path)
        disk = {check.name: check for check in machine.home_checks(tmp_path)}["disk"]
        said = float(disk.message.split(" GB")[0])
        assert said == pytest.approx(stat.f_bavail * stat.f_frsize / 1e9, rel=0.05, abs=0.2)

    def test_a_clock_that_cannot_be_right(self) -> None:
        assert machine.clock_check(datetime(1970, 1, 1, tzinfo=UTC)).status == "warning"
        assert machine.clock_check(datetime.now(UTC)).status == "ok"
