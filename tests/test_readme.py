"""Every ``packmule`` command line in the README can be typed; every command is mentioned."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from cli.main import COMMANDS, app, hoisted
from export_core.quantities import parse_duration

README = Path(__file__).parents[1] / "README.md"
DOCS = Path(__file__).parents[1] / "docs"
_COMMAND = re.compile(
    # a prompt; environment variables, sudo, the five fields of cron; all without a second way to match
    r"^\s*(?:[$#] )?(?:(?:[A-Z_]+=\S+|sudo|[-*\d/,]+) +|ExecStart=)*(\S*packmule .*)$"
)
_BLOCK = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def command_lines(text: str) -> Iterator[str]:
    """The command lines of all code blocks, after a prompt, a path or environment variables."""
    for block in _BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            found = _COMMAND.match(line)
            if found and not found[1].startswith("#"):
                yield found[1]


def words_of(line: str) -> list[str]:
    """The words after ``packmule``, up to a comment, a pipe or a redirection."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&<>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if set(word) <= set(";|&<>"):
            break
        words.append(word)
    return words[1:]


def parse(words: list[str]) -> None:
    """Have typer parse a command line without running the command. Raises typer's own errors."""
    group: Any = typer.main.get_command(app)
    with group.make_context("packmule", hoisted(words), obj=None, resilient_parsing=False) as context:
        rest = [*context._protected_args, *context.args]
        name, command, rest = group.resolve_command(context, rest)
        command.make_context(name, rest, parent=context)


def documents() -> list[Path]:
    return [README, *sorted(DOCS.glob("*.md"))]


LINES = [
    (path.name, line) for path in documents() for line in command_lines(path.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize(("document", "line"), LINES, ids=[f"{name}: {line}" for name, line in LINES])
def test_a_command_line_can_be_typed(document: str, line: str) -> None:
    words = words_of(line)
    if words in (["--help"], ["--version"]) or words[-1:] == ["--help"]:
        assert words[0].startswith("--") or words[0] in COMMANDS
        return
    parse(words)


def test_times_and_rates_in_running_text_are_understood() -> None:
    text = README.read_text(encoding="utf-8")
    times = re.findall(r"--(?:pause|older-than|expire-unfinished) ([\w.]+)", text)
    assert len(times) > 1
    for time in times:
        assert parse_duration(time).total_seconds() > 0


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_mentioned(name: str) -> None:
    text = README.read_text(encoding="utf-8")
    if "(under construction)" in text:
        pytest.skip("the README is not written yet")
    assert re.search(rf"packmule {name}\b", text)


EXAMPLE = """
```sh
$ packmule export group/project \\
    --to out.tar.gz   # where
PACKMULE_HOME=/srv .venv/bin/packmule list --json | jq .
```
packmule not a command
"""


def test_command_lines_are_found() -> None:
    found = [words_of(line) for line in command_lines(EXAMPLE)]
    assert found == [["export", "group/project", "--to", "out.tar.gz"], ["list", "--json"]]


@pytest.mark.parametrize(
    "line", ["packmule exprot x", "packmule export x --nonsense", "packmule show", "packmule"]
)
def test_what_cannot_be_typed_is_noticed(line: str) -> None:
    with pytest.raises(Exception, match=r".") as caught:
        parse(words_of(line))
    assert getattr(caught.value, "exit_code", None) == 2
