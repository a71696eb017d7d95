"""Standard streams as shells hand them over; every command line in a process of its own."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, CommandLine, Result
from tests.cli.made_jobs import MadeJobs

NAME = "group/プロジェクト-ü"


@pytest.fixture
def made(packmule: CommandLine) -> MadeJobs:
    made = MadeJobs(packmule.home)
    made.make("finished", project=NAME, to=str(packmule.root / "ü.tar.gz"))
    return made


def shell(packmule: CommandLine, line: str, **environment: str) -> Result:
    """A line of bash in which ``$P`` is packmule with the fake source; the code is that of a pipe's first."""
    program = f"{shlex.quote(sys.executable)} -m tests.packmule_with_fake"
    done = subprocess.run(
        ["bash", "-c", f'P="{program}"; {line}; exit ${{PIPESTATUS[0]}}'],
        cwd=ROOT,
        env={**os.environ, **packmule.environment, **environment},
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return Result(done.returncode, done.stdout.decode("latin-1"), done.stderr.decode("latin-1"))


@pytest.mark.parametrize("reader", ["head -1 >/dev/null", "true"])
@pytest.mark.parametrize("words", ["list", "show 1", "list --json", "export --help", "--help"])
def test_a_reader_that_leaves(packmule: CommandLine, made: MadeJobs, words: str, reader: str) -> None:
    done = shell(packmule, f"$P {words} | {reader}")
    assert done.exit_code in ((0, 141) if "head" in reader else (141,))
    assert done.stderr == ""


TOLD = "packmule: stdout cannot be written: No space left on device\n"


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize(
    "words", ["list", "list --json", "show 1", "status group/x", "--version", "--help", "list --help"]
)
def test_a_full_disk_is_told(packmule: CommandLine, made: MadeJobs, words: str, unbuffered: str) -> None:
    done = shell(packmule, f"$P {words} >/dev/full", PYTHONUNBUFFERED=unbuffered)
    assert (done.exit_code, done.stderr) == (1, TOLD)


def test_a_full_disk_is_told_also_where_an_error_was_to_be_printed(packmule: CommandLine) -> None:
    done = shell(packmule, "$P list --bogus --json >/dev/full")
    assert done.exit_code == 2
    assert "No such option: --bogus" in done.stderr
    assert done.stderr.endswith(TOLD)
    done = shell(packmule, "$P list --bogus --json | true")
    assert "fault" not in done.stderr


@pytest.mark.parametrize("unheard", ["/dev/full", ">(true)"])
def test_messages_that_cannot_be_written_change_no_exit_code(packmule: CommandLine, unheard: str) -> None:
    assert shell(packmule, f"$P export a/b --source fake --no-reuse 2> {unheard}").exit_code == 0
    assert shell(packmule, f"$P list --bogus 2> {unheard}").exit_code == 2
    assert shell(packmule, f"$P list >/dev/full 2> {unheard}").exit_code == 1


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams(packmule: CommandLine, closed: str) -> None:
    target = packmule.root / "out.tar.gz"
    done = shell(packmule, f"$P export a/b --source fake --to {target} {closed}")
    assert done.exit_code == 0, done.stderr
    assert subprocess.run(["tar", "-tzf", target], check=False, capture_output=True).returncode == 0
    assert packmule.run("list", "--json").json[0]["status"] == "finished", "the store was not written over"


def test_messages_without_a_reader_do_not_stop_an_export(packmule: CommandLine) -> None:
    done = shell(packmule, "($P export a/b --source fake; echo $? >&3) 3>&1 2>&1 | (sleep 0.1; cat)")
    assert packmule.run("list", "--json").json[0]["status"] == "finished"
    done = shell(packmule, "$P export a/b --source fake --no-reuse 2> >(true) | cat")
    assert done.exit_code == 0
    assert [job["status"] for job in packmule.run("list", "--json").json] == ["finished"] * 2


@pytest.mark.parametrize(
    "environment",
    [{"LANG": "C", "LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}],
    ids=str,
)
def test_small_encodings(packmule: CommandLine, made: MadeJobs, environment: dict[str, str]) -> None:
    for words in ("list", "show 1", f"status {NAME}"):
        done = shell(packmule, f"$P {words}", **environment)
        assert (done.exit_code, done.stderr) == (0, "")
        assert "group/" in done.stdout
    document = shell(packmule, "$P list --json", **environment)
    [job] = Result(0, document.stdout.encode("latin-1").decode(), "").json
    assert (job["project"], job["archive"]["path"]) == (NAME, str(packmule.root / "ü.tar.gz"))


def test_a_name_that_is_not_utf_8(packmule: CommandLine) -> None:
    done = shell(packmule, f"$P export a/b --source fake --to {packmule.root}/$'\\xff'.tar.gz")
    assert done.exit_code == 2
    assert "not UTF-8" in done.stderr
    assert packmule.run("list", "--json").json == []


def test_no_colour_where_none_is_wanted(packmule: CommandLine, made: MadeJobs) -> None:
    def colours(words: str, **environment: str) -> bool:
        typescript = packmule.root / "typescript"
        shell(packmule, f'script -qc "$P {words}" {typescript} >/dev/null', TERM="xterm", **environment)
        return "\x1b[32m" in typescript.read_text(errors="replace")

    if not any((Path(place) / "script").exists() for place in os.environ["PATH"].split(":")):
        pytest.skip("the command script is not installed")
    assert colours("list")
    assert colours("show 1")
    assert not colours("list", NO_COLOR="1")
    assert "\x1b" not in packmule.call("list").stdout


def test_whatever_the_umask_all_is_its_owners_alone(packmule: CommandLine) -> None:
    """Also what git and PostgreSQL write."""
    log = packmule.root / "log"
    done = shell(packmule, f"umask 000; $P --log-file {log} demo >/dev/null 2>&1")
    assert done.exit_code == 0
    found = shell(packmule, f"find $PACKMULE_HOME {log} -perm /077 -not -type l | head")
    assert found.stdout == ""
    assert (packmule.home / "embedded" / "storage").is_dir()
