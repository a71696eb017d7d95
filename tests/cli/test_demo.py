"""``packmule demo``: made, exported and verified; the archive holds what the project was written from."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from cli.demo_wiki import tree_lines
from export_core.sources.embedded.demo_archive import write_demo_archive
from tests.archive_equality import differences
from tests.cli.conftest import CommandLine


def test_two_demos_at_once(packmule: CommandLine, tmp_path: Path) -> None:
    """The second waits, then replaces the first one's project."""
    original = tmp_path / "original.tar.gz"
    write_demo_archive(original)
    for process in [packmule.start("demo"), packmule.start("demo")]:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        [path] = out.splitlines()
        assert "verified: GitLab would import it, and all that went in is there" in err
        assert f"packmule import {path} --as my/copy" in err
        subprocess.run(["tar", "-tzf", path], check=True, capture_output=True)
        assert differences(original, Path(path), tmp_path) == []
    assert [job["status"] for job in packmule.run("list", "--json").json] == ["finished", "finished"]
    advice = packmule.call("import", path, "--as", "my/copy")
    assert advice.exit_code == 0, advice.stderr


def test_demo_tells_nobody_who_waits_for_real_exports(packmule: CommandLine) -> None:
    packmule.configure('notify = ["json://localhost:9/nobody-listens-here"]')
    done = packmule.call("demo", "--scale", "10")
    assert done.exit_code == 0, done.stderr
    assert "nobody-listens" not in done.stderr
    assert packmule.run("list", "--json").json[0]["warnings"] == []


def test_demo_of_a_size_exports_it_or_says_how(packmule: CommandLine) -> None:
    made = packmule.call("demo", "--scale", "20", "--no-export")
    assert (made.exit_code, made.stdout) == (0, "packmule/scale-20\n"), made.stderr
    assert "packmule export packmule/scale-20 --to scale-20.tar.gz" in made.stderr
    assert packmule.run("list", "--json").json == []
    done = packmule.call("demo", "--scale", "20")
    assert done.exit_code == 0, done.stderr
    relations = {r["name"]: r["lines"] for r in packmule.run("list", "--json").json[0]["relations"]}
    assert (relations["issues"], relations["merge_requests"], relations["ci_pipelines"]) == (20, 2, 2)
    assert "verified: GitLab would import it" in done.stderr


@pytest.mark.parametrize("scale", ["0", "9", "99999999999", "many"])
def test_demo_of_an_impossible_size(packmule: CommandLine, scale: str) -> None:
    done = packmule.run("demo", "--scale", scale)
    assert done.exit_code == 2
    assert "scale" in done.stderr


def test_demo_of_a_wiki(packmule: CommandLine, tmp_path: Path) -> None:
    done = packmule.run("demo", "--wiki")
    assert done.exit_code == 0, done.stderr
    [path] = done.stdout.splitlines()
    subprocess.run(["tar", "-xzf", path, "-C", tmp_path], check=True)
    pages = json.loads((tmp_path / "pages.json").read_text())["pages"]
    assert all((tmp_path / page["file"]).is_file() for page in pages)
    assert f"verified: {len(pages)} pages and 2 attachments" in done.stderr
    assert "\n  Sandbox/\n    Diagrams.md\n    Math.md\n" in done.stderr
    [job] = packmule.run("list", "--json").json
    assert (job["project"], job["source"], job["status"]) == ("/", "growi+demo://", "finished")
    for line in done.stderr.splitlines():
        if line.startswith("  packmule export /") and "mongodb" not in line:
            words = line.split()[1:]
            if "--to" in words:
                words[-1] = str(tmp_path / words[-1])
            assert packmule.run(*words).exit_code == 0, line


@pytest.mark.parametrize("words", [("--scale", "20"), ("--no-export",)])
def test_demo_of_a_wiki_has_one_size(packmule: CommandLine, words: tuple[str, ...]) -> None:
    done = packmule.run("demo", "--wiki", *words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--scale" in done.stderr


def test_a_tree_is_short() -> None:
    names = ["b.md", "a/x/deep.md", *(f"a/{number}.md" for number in range(9)), "%41.md"]
    assert list(tree_lines(names)) == [
        "a/", "  0.md", "  1.md", "  2.md", "  3.md", "  ... and 6 more", "b.md", "%41.md"
    ]  # fmt: skip
