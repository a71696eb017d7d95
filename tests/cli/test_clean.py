from __future__ import annotations

import json
import multiprocessing
import os
import pty
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, CommandLine
from tests.cli.made_jobs import MadeJobs
from tests.strategies.servers import Answer, HttpServer


@pytest.fixture
def made(packmule: CommandLine) -> MadeJobs:
    made = MadeJobs(packmule.home, ago=timedelta(days=2))
    for status in ("queued", "started", "finished", "failed", "cancelled", "interrupted"):
        made.make(status)
    made.make("finished", to=str(packmule.root / "mine.tar.gz"))
    made.ago = timedelta(hours=1)
    made.make("finished")
    return made


def files(root: Path) -> set[str]:
    found = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    return {name for name in found if not name.startswith("packmule.db")}


KEPT = {"jobs/2/segments/issues.0.0", "archives/8/a.tar.gz"}


def test_dry_run_prints_exactly_what_yes_then_removes(packmule: CommandLine, made: MadeJobs) -> None:
    before = files(packmule.home)
    planned = packmule.run("clean", "--dry-run")
    assert files(packmule.home) == before
    assert len(planned.stdout.splitlines()) == 4
    assert packmule.run("clean", "--yes").stdout == planned.stdout
    assert before - files(packmule.home) == {
        "jobs/4/segments/issues.0.0",
        "jobs/6/segments/issues.0.0",
        "archives/3/a.tar.gz",
    }
    assert files(packmule.home) == KEPT
    assert (packmule.root / "mine.tar.gz").exists()
    again = packmule.run("clean", "--yes")
    assert (again.exit_code, again.stdout, again.stderr) == (0, "", "nothing to clean\n")


def test_json_of_the_plan_and_of_its_carrying_out_differ_only_in_removed(
    packmule: CommandLine, made: MadeJobs
) -> None:
    planned = packmule.run("clean", "--dry-run", "--json").json
    done = packmule.run("clean", "--yes", "--json").json
    assert (planned["dry_run"], done["dry_run"]) == (True, False)
    assert [removal["removed"] for removal in planned["removals"] + done["removals"]] == [False] * 4 + [
        True
    ] * 4
    for removal in (*planned["removals"], *done["removals"]):
        del removal["removed"]
    assert planned["removals"] == done["removals"]
    assert planned["bytes"] == done["bytes"] == 2000 + 2000 + 1500


def test_all_leaves_living_jobs_and_the_users_files(packmule: CommandLine, made: MadeJobs) -> None:
    assert packmule.run("clean", "--all", "--yes").exit_code == 0
    assert files(packmule.home) == {"jobs/2/segments/issues.0.0"}
    assert [job.id for job in made.store.list()] == [2, 1]
    assert (packmule.root / "mine.tar.gz").exists()


def test_keep_last_and_failed(packmule: CommandLine, made: MadeJobs) -> None:
    made.make("failed")
    lines = packmule.run("clean", "--keep-last", "2", "--failed", "--dry-run").stdout
    assert "archive:" not in lines
    assert "job: job 9 (group/project) (failed)" in lines


def test_ages_come_from_the_option_then_from_config_toml(packmule: CommandLine, made: MadeJobs) -> None:
    packmule.configure('[retention]\narchives = "30m"')
    assert "archives/8/" in packmule.run("clean", "--dry-run").stdout
    assert "archives/8/" not in packmule.run("clean", "--dry-run", "--older-than", "2h").stdout


@pytest.mark.parametrize(
    "words", [("--older-than", "soon"), ("--older-than", "5"), ("--keep-last", "-1"), ("--json",)]
)
def test_wrong_usage(packmule: CommandLine, made: MadeJobs, words: tuple[str, ...]) -> None:
    before = files(packmule.home)
    assert packmule.run("clean", *words).exit_code == 2
    assert files(packmule.home) == before


def test_without_a_terminal_it_wants_yes(packmule: CommandLine, made: MadeJobs) -> None:
    before = files(packmule.home)
    result = packmule.run("clean")
    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert files(packmule.home) == before


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 3)])
def test_on_a_terminal_it_asks(packmule: CommandLine, made: MadeJobs, answer: str, code: int) -> None:
    before, (ours, theirs) = files(packmule.home), pty.openpty()
    process = packmule.start("clean", stdin=theirs)
    os.write(ours, f"{answer}\n".encode())
    _, messages = process.communicate(timeout=30)
    os.close(ours)
    os.close(theirs)
    assert "Remove these 4?" in messages
    assert process.returncode == code
    assert files(packmule.home) == (KEPT if answer == "y" else before)


def test_one_failing_removal_is_reported_with_exit_code_3_and_tried_again(
    packmule: CommandLine, made: MadeJobs
) -> None:
    made.store.save_checkpoint(4, "delivery", {"source": 1, "target": ["not", "a", "path"]})
    with sqlite3.connect(made.home.store) as db:
        db.execute("""UPDATE jobs SET request = replace(request, '"notification"', '"gone"') WHERE id = 4""")
    result = packmule.run("clean", "--yes", "--failed")
    assert result.exit_code == 3
    assert "NOT REMOVED: there is no strategy 'gone'" in result.stdout
    assert "kept, because something of it" in result.stdout
    assert files(packmule.home) == KEPT
    assert [
        removal["kind"]
        for removal in packmule.run("clean", "--json", "--dry-run", "--failed").json["removals"]
    ] == [
        "upload",
        "job",
        "job",
    ]


def test_an_embedded_server_that_a_killed_process_left_is_stopped(packmule: CommandLine) -> None:
    script = (
        "import os, sys\nfrom pathlib import Path\n"
        "from export_core.sources.embedded.server import EmbeddedServer\n"
        "server = EmbeddedServer(Path(sys.argv[1]))\n"
        "session = server.session()\nsession.__enter__()\nos.kill(os.getpid(), 9)\n"
    )
    embedded = packmule.home / "embedded"
    packmule.home.mkdir()
    subprocess.run(
        [sys.executable, "-c", script, str(embedded)], cwd=ROOT, check=False, stdin=subprocess.DEVNULL
    )
    assert f"embedded server: {embedded}" in packmule.run("clean", "--dry-run").stdout
    assert packmule.run("clean", "--yes").exit_code == 0
    assert packmule.run("clean", "--yes").stdout == ""
    assert embedded.exists()
    assert packmule.run("clean", "--yes", "--embedded").exit_code == 0
    assert not embedded.exists()


def _clean(command_line: CommandLine, answers: multiprocessing.SimpleQueue[int]) -> None:
    answers.put(command_line.run("clean", "--yes", "--json", "--all").exit_code)


def test_many_clean_ups_at_once_agree(packmule: CommandLine, made: MadeJobs) -> None:
    made.store.close()
    fork = multiprocessing.get_context("fork")
    answers = fork.SimpleQueue()
    processes = [fork.Process(target=_clean, args=(packmule, answers)) for _ in range(8)]
    for process in processes:
        process.start()
    codes = [answers.get() for _ in processes]
    for process in processes:
        process.join()
    assert codes == [0] * 8
    assert files(packmule.home) == {"jobs/2/segments/issues.0.0"}
    assert json.loads(packmule.run("clean", "--all", "--yes", "--json").stdout)["removals"] == []


class TestExpiryNotices:
    """Receivers of an archive or an unfinished job are told when its time is over."""

    @pytest.fixture
    def server(self) -> Iterator[HttpServer]:
        with HttpServer().running() as server:
            yield server

    @pytest.fixture
    def old(self, packmule: CommandLine, server: HttpServer) -> MadeJobs:
        made = MadeJobs(packmule.home, ago=timedelta(days=2))
        made.notify = (f"json://127.0.0.1:{server.port}/hook?method=POST",)
        for status in ("finished", "interrupted", "failed", "cancelled"):
            made.make(status, project=f"group/{status}")
        made.make("finished", to=str(packmule.root / "mine.tar.gz"))
        made.ago = timedelta(hours=1)
        made.make("finished", project="group/young")
        return made

    def told(self, server: HttpServer) -> list[dict[str, str]]:
        return [json.loads(request.body) for request in server.requests]

    def test_of_what_expired_and_of_nothing_else(
        self, packmule: CommandLine, old: MadeJobs, server: HttpServer
    ) -> None:
        assert packmule.run("clean", "--dry-run").exit_code == 0
        assert server.requests == []
        done = packmule.run("clean", "--yes")
        assert (done.exit_code, "warning" in done.stderr) == (0, False), done.stderr
        interrupted, archive = self.told(server)
        assert interrupted["title"] == "packmule: the unfinished export of group/interrupted has expired"
        assert "packmule resume 2 --restart" in interrupted["message"]
        assert archive["title"] == "packmule: the archive of group/finished has expired"
        assert str(old.home.archive(1, "a.tar.gz")) in archive["message"]
        assert "packmule export group/finished" in archive["message"]
        packmule.run("clean", "--yes")
        assert len(server.requests) == 2

    def test_not_of_what_the_user_removes(
        self, packmule: CommandLine, old: MadeJobs, server: HttpServer
    ) -> None:
        assert packmule.run("clean", "--all", "--yes").exit_code == 0
        assert server.requests == []
        assert not (old.home.archives / "1").exists()

    def test_that_cannot_be_sent_are_warnings(
        self, packmule: CommandLine, old: MadeJobs, server: HttpServer
    ) -> None:
        server.reply = lambda _request: Answer(status=403)
        done = packmule.run("clean", "--yes", "--json")
        assert done.exit_code == 0
        assert done.stderr.count("warning: the notification to json://") == 2
        assert "hook" not in done.stderr
        assert all(removal["removed"] for removal in done.json["removals"])

    def test_from_work_too(self, packmule: CommandLine, server: HttpServer) -> None:
        made = MadeJobs(packmule.home, ago=timedelta(days=2))
        made.notify = (f"json://127.0.0.1:{server.port}/hook",)
        made.make("finished")
        assert packmule.call("work", "--once").exit_code == 0
        assert [message["title"] for message in self.told(server)] == [
            "packmule: the archive of group/project has expired"
        ]
