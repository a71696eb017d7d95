"""The table of commands, the error boundary, and how quickly it all starts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from cli import main as cli_main
from cli.main import COMMANDS, EXIT_CODES, hoisted
from export_core import errors
from export_core.stop import Stop
from tests.cli.conftest import CommandLine
from tests.test_readme import parse, words_of

DESIGNED = "export resume list show status cancel clean work verify import demo doctor".split()
HEAVY = "rich boto3 apprise pymongo gitlab httpx psycopg yaml pydantic sqlite3 cli.wiring cli.commands.export"


def test_every_command_of_the_design_is_there() -> None:
    assert set(DESIGNED) <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_and_exit_codes(packmule: CommandLine, name: str) -> None:
    module = COMMANDS[name].function.partition(":")[0]
    if not (Path(cli_main.__file__).parent / "commands" / f"{module.rpartition('.')[2]}.py").exists():
        pytest.skip(f"{module} is not written yet")
    result = packmule.run(name, "--help")
    assert result.exit_code == 0
    assert f"Usage: packmule {name}" in result.stdout
    assert re.search(rf"^ +packmule {name}\b", result.stdout, re.MULTILINE), "no example"
    codes = {code: COMMANDS[name].meanings.get(code, EXIT_CODES[code]) for code in COMMANDS[name].exit_codes}
    assert {0, 1, 2} <= set(codes) <= set(EXIT_CODES)
    assert set(COMMANDS[name].meanings) <= set(codes)
    for code, meaning in codes.items():
        assert re.search(rf"^ +{code} +{re.escape(meaning)}$", result.stdout, re.MULTILINE)
    assert (
        max(map(len, result.stdout.partition("Exit codes:")[0].partition("Examples:")[0].splitlines())) <= 80
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_can_be_typed(name: str) -> None:
    examples = import_module(COMMANDS[name].function.partition(":")[0]).EXAMPLES
    for example in examples:
        words = words_of(example)
        assert words[0] == name
        parse(words)


def test_help_shows_all_commands_and_the_table_of_exit_codes(packmule: CommandLine) -> None:
    text = packmule.run("--help").stdout
    for name, entry in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(entry.help)}$", text, re.MULTILINE)
    for code, meaning in EXIT_CODES.items():
        assert re.search(rf"^ +{code} +{re.escape(meaning)}$", text, re.MULTILINE)


def test_the_exit_codes_of_all_errors_are_in_the_table() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    assert {cls.exit_code for cls in classes if issubclass(cls, errors.PackmuleError)} <= set(EXIT_CODES)


@pytest.mark.parametrize(
    "words",
    [["--nonsense"], ["list", "--nonsense"], ["exprot"], ["show"], ["show", "seven"], ["export"], []],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2_with_a_message_on_stderr(packmule: CommandLine, words: list[str]) -> None:
    result = packmule.run(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "packmule" in result.stderr
    assert "Traceback" not in result.stderr


def test_urls_among_wrong_words_are_masked(packmule: CommandLine) -> None:
    result = packmule.run("export", "group/project", "https://me:planted1@host/x?sig=planted2&a=planted3")
    assert result.exit_code == 2
    assert "https://***@host/x?***" in result.stderr
    assert "planted" not in result.stderr + result.stdout


def test_a_mistyped_command_is_answered_with_the_right_one(packmule: CommandLine) -> None:
    assert "did you mean export?" in packmule.run("exprot").stderr


def test_version(packmule: CommandLine) -> None:
    from export_core import __version__

    result = packmule.run("--version")
    assert (result.exit_code, result.stdout) == (0, f"packmule {__version__}\n")


class TestBoundary:
    """Where an error becomes a message and an exit code."""

    def test_an_error_of_the_tree(self, packmule: CommandLine) -> None:
        result = packmule.run("resume", "77")
        assert (result.exit_code, result.stdout) == (4, "")
        assert result.stderr.splitlines()[0] == "packmule: there is no job 77"
        assert result.stderr.splitlines()[1].startswith("hint: ")

    def test_with_json_the_error_is_the_one_document(self, packmule: CommandLine) -> None:
        result = packmule.run("resume", "77", "--json")
        assert result.json["error"]["kind"] == "NotFound"
        assert result.json["error"]["message"] == "there is no job 77"
        assert result.exit_code == 4

    def test_an_unexpected_fault(self, packmule: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
        from cli.commands import resume

        def broken(*_: object) -> None:
            raise ZeroDivisionError("as the test wanted")

        monkeypatch.setattr(resume, "wiring", broken)
        result = packmule.run("resume")
        assert result.exit_code == 1
        assert "packmule: unexpected fault: ZeroDivisionError: as the test wanted" in result.stderr
        assert "Traceback" not in result.stderr
        assert "Traceback" in packmule.run("--debug", "resume").stderr
        assert "Traceback" in packmule.run("resume", "--debug").stderr

    def test_ctrl_c(self, packmule: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
        from cli.commands import resume

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(resume, "wiring", interrupted)
        result = packmule.run("resume")
        assert result.exit_code == 130
        assert result.stderr == "packmule: interrupted\n"

    def test_a_reader_that_leaves_is_no_fault(self, packmule: CommandLine) -> None:
        process = packmule.start("list", "--json", stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.close()  # before it can have written
        process.stdout = None
        _, stderr = process.communicate(timeout=20)
        assert (process.returncode, stderr) == (141, "")


class TestGlobalOptions:
    """They may stand anywhere before ``--``."""

    @pytest.mark.parametrize(
        ("words", "front"),
        [
            ("export p --debug", "--debug export p"),
            ("export --log-file x p", "--log-file x export p"),
            ("export p --log-file=x --json", "--log-file=x export p --json"),
            ("export -- --debug", "export -- --debug"),
            ("list --log-file", "list --log-file"),
            ("", ""),
        ],
    )
    def test_hoisting(self, words: str, front: str) -> None:
        assert hoisted(words.split()) == front.split()

    def test_a_log_file_that_cannot_be_written(self, packmule: CommandLine) -> None:
        result = packmule.run("--log-file", "/nowhere/at/all.log", "list")
        assert result.exit_code == 2
        assert "/nowhere/at/all.log" in result.stderr

    def test_the_log_file_is_its_owners_alone(self, packmule: CommandLine) -> None:
        log = packmule.root / "log.jsonl"
        assert packmule.run("--log-file", str(log), "list").exit_code == 0
        assert log.stat().st_mode & 0o777 == 0o600


def test_nothing_heavy_is_imported_for_help() -> None:
    code = f"""
import sys
from cli.main import main
sys.argv = ["packmule", "--help"]
try:
    main()
except SystemExit:
    pass
print([name for name in {HEAVY.split()} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_list_imports_no_validators_and_no_deliverers(packmule: CommandLine) -> None:
    code = """
import sys
from cli.main import main
sys.argv = ["packmule", "list", "--json"]
try:
    main()
except SystemExit:
    pass
unwanted = "pydantic boto3 apprise pymongo gitlab httpx psycopg yaml"
print([name for name in unwanted.split() if name in sys.modules], file=sys.stderr)
"""
    environment = {**os.environ, **packmule.environment}
    packmule.configure()
    packmule.config.write_text("")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert json.loads(done.stdout) == []
    assert done.stderr.strip() == "[]"


def test_stop_is_not_confused_by_two_reasons() -> None:
    stop = Stop()
    stop.check()
    stop.request("interrupt")
    stop.request("restart")
    assert stop.reason == "interrupt"
    stop.request("cancel")
    assert stop.reason == "cancel"
    with pytest.raises(errors.Cancelled):
        stop.check()
    assert stop.wait(0)
