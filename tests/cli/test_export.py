"""``packmule export`` through the real command line, on the fake source."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from cli.commands.export_options import ExportOptions
from cli.config import Config
from cli.requests import job_request, names, project_path, same_export
from export_core.errors import UsageError
from export_core.job import Job, JobStatus
from export_core.workspace import Home
from tests.cli.conftest import CommandLine
from tests.fake_source import RELATIONS, FakeSource

KEYS = {
    "id", "project", "source", "status", "phase", "strategy", "created_at", "started_at", "finished_at",
    "archive", "relations", "warnings", "error",
}  # fmt: skip
RELATION_KEYS = {"name", "status", "lines", "bytes", "parts", "seconds"}


def members(archive: Path) -> dict[str, bytes]:
    """What Python's tarfile finds in an archive."""
    with tarfile.open(archive, "r:gz") as tar:
        files = [member for member in tar if member.isfile()]
        return {member.name.removeprefix("./"): tar.extractfile(member).read() for member in files}  # type: ignore[union-attr]


class TestToAFile:
    """``--to PATH``."""

    def test_the_project_in_the_path(self, packmule: CommandLine) -> None:
        template = packmule.root / "of-{project}.tar.gz"
        result = packmule.run("export", "a/b", "--source", "fake", "--to", str(template))
        assert (result.exit_code, result.stdout) == (0, f"{packmule.root}/of-a/b.tar.gz\n")

    def test_the_archive_is_there_and_its_path_is_the_only_result(self, packmule: CommandLine) -> None:
        target = packmule.root / "out.tar.gz"
        result = packmule.run("export", "a/b", "--source", "fake", "--to", str(target))
        assert (result.exit_code, result.stdout) == (0, f"{target}\n")
        assert members(target) == FakeSource().expected()
        assert target.stat().st_mode & 0o777 == 0o600
        assert "job 1 finished: a/b" in result.stderr

    def test_json_is_one_document_with_the_keys_of_the_contract(self, packmule: CommandLine) -> None:
        target = packmule.root / "out.tar.gz"
        result = packmule.run("export", "a/b", "--source", "fake", "--to", str(target), "--json")
        job = result.json
        assert set(job) >= KEYS
        assert (job["project"], job["source"], job["status"], job["error"]) == (
            "a/b",
            "fake",
            "finished",
            None,
        )
        assert job["strategy"] == {"name": "move-file", "destination": str(target)}
        data = target.read_bytes()
        assert job["archive"] == {
            "path": str(target),
            "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        assert [relation["name"] for relation in job["relations"]] == list(RELATIONS)
        assert all(set(relation) >= RELATION_KEYS for relation in job["relations"])
        lines = {relation["name"]: relation["lines"] for relation in job["relations"]}
        assert (lines["issues"], lines["labels"]) == (60, 0)
        assert result.stderr == ""

    def test_quiet_says_nothing_on_stderr(self, packmule: CommandLine) -> None:
        result = packmule.run("export", "a/b", "--source", "fake", "--quiet")
        assert (result.exit_code, result.stderr) == (0, "")

    def test_a_missing_directory_is_exit_code_6_before_any_work(self, packmule: CommandLine) -> None:
        target = packmule.root / "nowhere" / "out.tar.gz"
        result = packmule.run("export", "a/b", "--source", "fake", "--to", str(target))
        assert (result.exit_code, result.stdout) == (6, "")
        assert str(target.parent) in result.stderr
        assert packmule.reads() == []

    def test_an_existing_file_is_kept_unless_forced(self, packmule: CommandLine) -> None:
        target = packmule.root / "out.tar.gz"
        target.write_text("precious")
        words = ("export", "a/b", "--source", "fake", "--to", str(target))
        assert packmule.run(*words).exit_code == 6
        assert target.read_text() == "precious"
        assert packmule.run(*words, "--force").exit_code == 0
        assert members(target) == FakeSource().expected()


def test_without_a_destination_the_archive_stays_in_packmules_store(packmule: CommandLine) -> None:
    result = packmule.run("export", "a/b", "--source", "fake")
    archive = Path(result.stdout.removesuffix("\n"))
    assert archive.is_relative_to(packmule.home)
    assert members(archive) == FakeSource().expected()


def test_the_same_bytes_for_any_number_of_workers(
    packmule: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    packmule.configure(lines=500, parts=9)
    digests = set()
    for workers in ("1", "2", "7"):
        target = packmule.root / f"{workers}.tar.gz"
        words = ("--source", "fake", "--to", str(target), "--workers", workers, "--no-reuse")
        assert packmule.run("export", "a/b", *words).exit_code == 0
        digests.add(hashlib.sha256(target.read_bytes()).hexdigest())
    assert len(digests) == 1


class TestSelection:
    """``--only`` and ``--skip``."""

    def test_only(self, packmule: CommandLine) -> None:
        target = packmule.root / "out.tar.gz"
        words = ("--source", "fake", "--to", str(target), "--only", "project,issues", "--only", "version")
        job = packmule.run("export", "a/b", *words, "--json").json
        assert [relation["name"] for relation in job["relations"]] == ["version", "project", "issues"]
        assert set(members(target)) == {
            "VERSION", "GITLAB_VERSION", "tree/project.json", "tree/project/issues.ndjson"
        }  # fmt: skip
        assert any("uploads" in warning for warning in job["warnings"]), "what was left out is said"

    def test_skip(self, packmule: CommandLine) -> None:
        target = packmule.root / "out.tar.gz"
        packmule.run("export", "a/b", "--source", "fake", "--to", str(target), "--skip", "uploads,issues")
        assert not [name for name in members(target) if "uploads" in name or "issues" in name]

    @pytest.mark.parametrize("flag", ["--only", "--skip"])
    def test_an_unknown_relation(self, packmule: CommandLine, flag: str) -> None:
        result = packmule.run("export", "a/b", "--source", "fake", flag, "issues,isues")
        assert (result.exit_code, result.stdout) == (2, "")
        assert "isues" in result.stderr
        for name in RELATIONS:
            assert name in result.stderr
        assert packmule.run("list", "--json").json == []

    def test_nothing_left(self, packmule: CommandLine) -> None:
        words = ("export", "a/b", "--source", "fake", "--only", "issues", "--skip", "issues")
        assert packmule.run(*words).exit_code == 2


class TestFailing:
    """What goes wrong is named, with its exit code; nothing half-done is left at the destination."""

    def test_a_relation(self, packmule: CommandLine) -> None:
        packmule.fail("merge_requests.1")
        target = packmule.root / "out.tar.gz"
        result = packmule.run("export", "a/b", "--source", "fake", "--to", str(target), "--json")
        assert result.exit_code == 3
        assert (result.json["status"], result.json["archive"]) == ("failed", None)
        assert "merge_requests" in result.json["error"]["message"]
        assert "as the test wanted" in result.json["error"]["message"]
        assert not target.exists()
        assert list(target.parent.glob("*.tar.gz*")) == []
        shown = packmule.run("show", "1")
        assert "merge_requests" in shown.stdout
        assert "as the test wanted" in shown.stdout

    def test_an_unexpected_fault_fails_the_job_too(self, packmule: CommandLine) -> None:
        (packmule.control / "break-issues.0").touch()
        result = packmule.run("export", "a/b", "--source", "fake", "--json")
        assert result.exit_code in (1, 3)
        assert result.json["status"] == "failed"
        assert "Traceback" not in result.stderr

    def test_a_project_that_does_not_exist(self, packmule: CommandLine) -> None:
        (packmule.control / "missing").touch()
        result = packmule.run("export", "a/b", "--source", "fake")
        assert (result.exit_code, result.stdout) == (4, "")
        assert "a/b" in result.stderr

    def test_a_source_that_refuses(self, packmule: CommandLine) -> None:
        (packmule.control / "refuse").touch()
        result = packmule.run("export", "a/b", "--source", "fake")
        assert result.exit_code == 5
        assert "hint: remove the file refuse" in result.stderr

    @pytest.mark.parametrize(
        "words",
        [
            "--strategy move-file",
            "--strategy notification --to x.tar.gz",
            "--strategy nonsense --to x.tar.gz",
            "--strategy web-upload --to x.tar.gz",
            "--source nowhere",
            "--source-option lines",
            "--source-option nonsense=1",
            "--limit-rate fast --to x.tar.gz",
            "--pause long",
            "--compression-level 11",
            "--workers 0",
            "--workers many",
            "--include *",
            "--group g",
            "--notify nonsense",
        ],
    )
    def test_words_that_do_not_fit(self, packmule: CommandLine, words: str) -> None:
        more = [] if "--source nowhere" in words else ["--source", "fake"]
        result = packmule.run("export", "a/b", *more, *words.split())
        assert (result.exit_code, result.stdout) == (2, "")
        assert "Traceback" not in result.stderr
        assert packmule.run("list", "--json").json == []


def test_queue_only_queues(packmule: CommandLine) -> None:
    result = packmule.run("export", "a/b", "--source", "fake", "--queue")
    assert (result.exit_code, result.stdout) == (0, "1\n")
    assert packmule.store.get(1).status is JobStatus.QUEUED
    assert packmule.reads() == []
    assert packmule.run("export", "a/b", "--source", "fake", "--queue", "--json").json["status"] == "queued"


class TestDryRun:
    """``--dry-run``."""

    def test_the_plan_as_json(self, packmule: CommandLine) -> None:
        result = packmule.run("export", "a/b", "--source", "fake", "--dry-run", "--json")
        assert result.exit_code == 0
        plan = {relation["name"]: relation for relation in result.json["relations"]}
        assert (plan["issues"]["parts"], plan["issues"]["lines"], plan["issues"]["bytes"]) == (4, 60, 6000)
        assert plan["labels"] == {"name": "labels", "parts": 0, "lines": 0, "bytes": 0}
        assert result.json["parts"] == 4 + 4 + 1 + 1 + 1

    def test_nothing_is_done(self, packmule: CommandLine) -> None:
        result = packmule.run("export", "a/b", "--source", "fake", "--dry-run")
        assert result.exit_code == 0
        assert "issues" in result.stdout
        assert packmule.reads() == []
        assert packmule.run("list", "--json").json == []


class TestMany:
    """``--group`` and ``--all``."""

    def test_a_job_for_each_project(self, packmule: CommandLine) -> None:
        result = packmule.run("export", "--group", "group", "--source", "fake", "--json")
        assert result.exit_code == 0
        assert [(job["project"], job["status"]) for job in result.json] == [
            ("group/one", "finished"),
            ("group/two", "finished"),
        ]

    def test_all_with_globs(self, packmule: CommandLine) -> None:
        words = ("export", "--all", "--source", "fake", "--exclude", "*/two", "--include", "group/*")
        result = packmule.run(*words, "--include", "other/*", "--json")
        assert [job["project"] for job in result.json] == ["group/one", "other/three"]

    def test_a_table_at_the_end(self, packmule: CommandLine) -> None:
        result = packmule.run("export", "--all", "--source", "fake")
        assert len(result.stdout.split()) == 3
        assert all(Path(line).exists() for line in result.stdout.split())
        assert "other/three" in result.stderr

    def test_a_failed_one_is_exit_code_3_and_the_others_go_on(self, packmule: CommandLine) -> None:
        packmule.fail("issues.0")
        result = packmule.run("export", "--group", "group", "--source", "fake")
        assert result.exit_code == 3
        assert "2 of 2 exports failed" in result.stderr
        packmule.heal("issues.0")
        assert packmule.run("resume", "--all").exit_code == 0

    @pytest.mark.parametrize("words", ["a/b --all", "--group a --all", "--all --to x.tar.gz"])
    def test_words_that_do_not_fit(self, packmule: CommandLine, words: str) -> None:
        assert packmule.run("export", "--source", "fake", *words.split()).exit_code == 2

    def test_no_project_at_all(self, packmule: CommandLine) -> None:
        assert packmule.run("export", "--group", "nobody", "--source", "fake").exit_code == 4


def test_the_log_file_says_what_happened(packmule: CommandLine) -> None:
    log = packmule.root / "log.jsonl"
    packmule.run("export", "a/b", "--source", "fake", "--log-file", str(log))
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    finished = [
        line for line in lines if line["message"] == "PartFinished" and line.get("relation") == "issues"
    ]
    assert sorted(line["part"] for line in finished) == [0, 1, 2, 3]
    assert {line["job"] for line in finished} == {1}


def test_secrets_are_not_shown(packmule: CommandLine) -> None:
    url = "postgresql://me:geheim-1@127.0.0.1:9/gitlab?sslkey=geheim-2"
    words = ["--notify", "json://user:geheim-3@127.0.0.1:9/geheim-4", "--header", "Authorization: geheim-5"]
    words += [
        "--to",
        "https://me:geheim-6@127.0.0.1:9/x?sig=geheim-7",
        "--log-file",
        str(packmule.root / "log"),
    ]
    done = packmule.call("export", "a/b", "--source", url, *words, "--json", "--debug")
    assert done.exit_code in (5, 6)
    everything = done.stdout + done.stderr + (packmule.root / "log").read_text()
    for command in ("list --json", "show 1 --json", "list", "show 1"):
        shown = packmule.run(*command.split())
        everything += shown.stdout + shown.stderr
    assert "geheim" not in everything


class TestRequest:
    """From words to what is stored: pure."""

    def request(self, **words: Any) -> Any:
        return job_request("a/b", ExportOptions(**words), Config(), Home(Path("/home/p")))

    def test_defaults(self) -> None:
        request = self.request()
        assert (request.source, request.source_options) == ("embedded", {"kind": "embedded"})
        assert (request.workers, request.compression_level, request.reuse, request.only) == (
            None,
            1,
            True,
            (),
        )
        assert request.strategy.name == "notification"
        assert request.export_options == {}

    def test_flags_beat_the_file(self) -> None:
        config = Config(workers=3, compression_level=2, notify=("json://a",))
        home = Home(Path("/home/p"))
        request = job_request("a/b", ExportOptions(workers=5, compression_level=0), config, home)
        assert (request.workers, request.compression_level, request.notify) == (5, 0, ("json://a",))
        assert job_request("a/b", ExportOptions(notify=("xml://b",)), config, home).notify == ("xml://b",)

    def test_options_that_only_the_source_reads(self) -> None:
        request = self.request(as_user="root", pause="0.5s", max_db_load=8.0, allow_missing=True)
        assert request.export_options == {
            "as_user": "root", "pause": 0.5, "max_db_load": 8.0, "allow_missing": True
        }  # fmt: skip

    @pytest.mark.parametrize(("text", "path"), [("/a/b/", "a/b"), ("a/b", "a/b"), (" a/b ", "a/b")])
    def test_the_path_of_a_project(self, text: str, path: str) -> None:
        assert project_path(text, Config().find_source(None)) == path

    @pytest.mark.parametrize("text", ["", "/", "a//b", "a\0b"])
    def test_what_is_no_path(self, text: str) -> None:
        with pytest.raises(UsageError):
            project_path(text, Config().find_source(None))

    def test_pages_keep_their_slash(self) -> None:
        wiki = Config().find_source("growi+https://wiki.example.com")
        assert [project_path(path, wiki) for path in ("/", "/Sandbox", "Sandbox/", "/Blank ")] == [
            "/",
            "/Sandbox",
            "/Sandbox",
            "/Blank ",
        ]

    def test_names(self) -> None:
        assert names(["a, b", "c", "b", ","]) == ("a", "b", "c")

    @pytest.mark.parametrize(
        ("first", "second", "same"),
        [
            ({"to": "/tmp/x"}, {"to": "/tmp/x"}, True),
            ({"to": "/tmp/x"}, {"to": "/tmp/y"}, False),
            ({}, {}, False),
            ({"to": "s3://bucket/{job}"}, {"to": "s3://bucket/{job}"}, False),
            ({"to": "s3://bucket/k"}, {"to": "s3://bucket/k"}, True),
            ({"to": "https://h/p?sig=1"}, {"to": "https://h/p?sig=2"}, False),
        ],
    )
    def test_what_would_collide(self, first: dict[str, str], second: dict[str, str], same: bool) -> None:
        job = Job(1, self.request(**first), JobStatus.STARTED, None, "2026-01-01T00:00:00.000Z")
        assert same_export(job, self.request(**second)) is same


def test_export_of_a_process_that_is_killed_is_shown_as_interrupted(packmule: CommandLine) -> None:
    packmule.hang("issues.0")
    process = packmule.start("export", "a/b", "--source", "fake")
    packmule.wait_for_read("issues.0")
    process.kill()
    process.wait()
    began = time.monotonic()
    assert packmule.run("list", "--json").json[0]["status"] == "interrupted"
    assert time.monotonic() - began < 5


def test_progress_goes_to_stderr_only(packmule: CommandLine) -> None:
    done = packmule.call("export", "a/b", "--source", "fake")
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == 1
    assert "job 1: exporting a/b" in done.stderr
    assert subprocess.run(["gzip", "-t", done.stdout.strip()], check=False).returncode == 0
