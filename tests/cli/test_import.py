"""``packmule import``, and the way round: in, out, and the same lines."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine


def lines_of(archive: Path) -> dict[str, int]:
    """Lines of every relation file, by Python's tarfile."""
    found = {}
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            name = member.name.removeprefix("./")
            if name.endswith(".ndjson") and "/._" not in name:
                stream = tar.extractfile(member)
                assert stream is not None
                found[name] = sum(line.strip() not in (b"", b"null") for line in stream)
    return {name: count for name, count in found.items() if count}


def test_in_and_out_again(packmule: CommandLine, shared: Path) -> None:
    original = shared / "archives" / "gitlab-18.0-docusaurus.tar.gz"
    done = packmule.run("import", str(original), "--as", "group/sub/docs")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "loaded as group/sub/docs" in done.stdout
    target = packmule.root / "again.tar.gz"
    assert packmule.run("export", "group/sub/docs", "--to", str(target), "--quiet").exit_code == 0
    before, after = lines_of(original), lines_of(target)
    assert {name: after.get(name) for name in before} == before
    assert packmule.run("verify", str(target)).exit_code == 0

    taken = packmule.run("import", str(original), "--as", "group/sub/docs")
    assert taken.exit_code != 0
    assert "group/sub/docs" in taken.stderr
    assert json.loads(packmule.run("doctor", "--json").stdout)["healthy"]


@pytest.mark.parametrize(
    ("words", "code"),
    [(["/nowhere/x.tar.gz", "--as", "a/b"], 4), (["x.tar.gz"], 2), ([], 2)],
    ids=["missing", "no path", "nothing"],
)
def test_words_that_do_not_fit(packmule: CommandLine, words: list[str], code: int) -> None:
    result = packmule.run("import", *words)
    assert (result.exit_code, result.stdout) == (code, "")


def test_rubbish(packmule: CommandLine) -> None:
    text = packmule.root / "text.tar.gz"
    text.write_text("this is no archive")
    result = packmule.run("import", str(text), "--as", "a/b")
    assert result.exit_code == 7
    assert str(text) in result.stderr
