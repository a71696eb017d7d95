"""``packmule verify`` and what it says of good and bad archives."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine

GOOD = {
    "VERSION": b"0.2.4",
    "GITLAB_VERSION": b"18.9.0-ee",
    "GITLAB_REVISION": b"abc",
    "tree/project.json": b'{"description":"x"}',
    "tree/project/labels.ndjson": b'{"title":"a"}\n{"title":"b"}\n',
}


def archive(path: Path, members: dict[str, bytes]) -> Path:
    """An archive made by Python's tarfile."""
    with tarfile.open(path, "w:gz") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def test_a_good_archive(packmule: CommandLine, tmp_path: Path) -> None:
    good = archive(tmp_path / "good.tar.gz", GOOD)
    result = packmule.run("verify", str(good))
    assert (result.exit_code, result.stderr) == (0, "")
    assert "labels" in result.stdout
    assert "importable" in result.stdout
    report = packmule.run("verify", str(good), "--json").json
    assert report["importable"] is True
    assert {"name": "labels", "lines": 2, "bytes": 28} in report["relations"]


def test_every_problem_is_listed(packmule: CommandLine, tmp_path: Path) -> None:
    members = {**GOOD, "VERSION": b"9.9.9", "tree/project/labels.ndjson": b"{broken\n"}
    bad = archive(tmp_path / "bad.tar.gz", members)
    result = packmule.run("verify", str(bad))
    assert result.exit_code == 7
    assert "VERSION" in result.stdout
    assert result.stdout.count("labels.ndjson") == 1
    assert result.stdout.count("problem: ") >= 2
    result = packmule.run("verify", str(bad), "--json")
    assert result.exit_code == 7
    assert (result.json["importable"], len(result.json["problems"]) >= 2) == (False, True)


def test_rubbish(packmule: CommandLine, tmp_path: Path) -> None:
    text = tmp_path / "text.tar.gz"
    text.write_text("this is no archive")
    result = packmule.run("verify", str(text))
    assert result.exit_code == 7
    assert "Traceback" not in result.stderr


def test_a_missing_file(packmule: CommandLine) -> None:
    result = packmule.run("verify", "/nowhere/x.tar.gz")
    assert (result.exit_code, result.stdout) == (4, "")


@pytest.mark.parametrize("name", ["gitlab-13.8-sample", "gitlab-18.0-docusaurus"])
def test_real_archives(packmule: CommandLine, shared: Path, name: str) -> None:
    assert packmule.run("verify", str(shared / "archives" / f"{name}.tar.gz")).exit_code == 0
