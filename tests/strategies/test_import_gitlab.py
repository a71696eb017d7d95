"""import-project into a GitLab, against a server that imitates its documented import API."""

from __future__ import annotations

import contextlib
import logging
import os
import tracemalloc
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import stamina

import strategies
from export_core.delivery import Strategy
from export_core.errors import Cancelled, DestinationUnusable, UsageError
from strategies.import_gitlab import ImportGitlab
from strategies.surroundings import Surroundings
from strategies.words import Words
from tests.strategies.contract import (
    FileArchive,
    Killed,
    MemoryCheckpoint,
    StrategyContract,
    StreamedArchive,
    context,
    make_job,
)
from tests.strategies.gitlab_server import TOKEN, FakeGitlab, Project
from tests.strategies.servers import Answer, HttpServer, free_port

DATA = os.urandom(1 << 20) * 3
PATH = "group/sub/new"


@pytest.fixture
def gitlab(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGitlab]:
    monkeypatch.setenv("GITLAB_TOKEN", TOKEN)
    with HttpServer().running() as server:
        yield FakeGitlab(server)


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=4):
        yield


@pytest.fixture
def archive(tmp_path: Path) -> FileArchive:
    (tmp_path / "archive").write_bytes(DATA)
    return FileArchive(tmp_path / "archive", DATA)


def into(gitlab: FakeGitlab, path: str = PATH, **options: Any) -> ImportGitlab:
    base = gitlab.server.url
    return ImportGitlab(f"{base}/{path}", base, timeout=5.0, poll=0.01, **options)


@dataclass
class GitlabCase:
    gitlab: FakeGitlab
    file: FileArchive
    surroundings: Surroundings
    store: Path
    secrets: tuple[str, ...] = ("planted",)

    def strategy(self) -> Strategy:
        return into(self.gitlab, store_dir=str(self.store))

    def archive(self) -> FileArchive:
        return self.file

    def unusable(self) -> Strategy:
        return into(self.gitlab, "missing-group/new")

    def fail_once(self) -> None:
        self.gitlab.posts.append(Answer(502, body=b"bad gateway"))
        self.gitlab.server.cut_bodies.append(1 << 20)

    def recover(self) -> None:
        """By itself."""

    def fail_for_good(self) -> None:
        self.gitlab.projects.clear()
        self.gitlab.refuse = Answer(403, body=f'{{"message": "403 Forbidden for {TOKEN}"}}'.encode())

    def delivered(self) -> bytes | None:
        project = self.gitlab.by_path(PATH)
        return project.archive if project and project.status == "finished" else None

    def leftovers(self) -> list[str]:
        kept = [str(path) for path in self.store.rglob("*")]
        return kept + [project.path for project in self.gitlab.projects.values() if project.path != PATH]


@pytest.fixture
def case(gitlab: FakeGitlab, archive: FileArchive, tmp_path: Path) -> GitlabCase:
    return GitlabCase(gitlab, archive, Surroundings(), tmp_path / "store")


class TestGitlab(StrategyContract):
    pass


def test_the_form_names_group_and_path_and_holds_the_archive(
    gitlab: FakeGitlab, archive: FileArchive
) -> None:
    delivery = into(gitlab).deliver(archive, context())
    (request,) = gitlab.imports()
    assert request.path == "/api/v4/projects/import"
    assert request.headers["content-type"].startswith("multipart/form-data")
    assert "transfer-encoding" not in request.headers
    project = gitlab.by_path("group/sub/new")
    assert project is not None
    assert project.archive == DATA
    assert delivery.details == {"project_id": project.id, "path": "group/sub/new"}
    assert delivery.destination == f"{gitlab.server.url}/group/sub/new"


def test_an_archive_without_a_file_is_streamed(gitlab: FakeGitlab) -> None:
    strategy = into(gitlab, local_copy=False)
    assert not strategy.wants_file
    strategy.deliver(StreamedArchive(DATA), context())
    assert gitlab.projects[100].archive == DATA


def test_memory_is_constant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITLAB_TOKEN", TOKEN)
    with (tmp_path / "big").open("wb") as out:
        out.truncate(128 << 20)

    class Big(FileArchive):
        size = 128 << 20  # type: ignore[assignment]

    with HttpServer(keep_bodies=False).running() as server:
        gitlab = FakeGitlab(server)
        into(gitlab, "group/new").check(make_job(), 1)  # imports the libraries
        tracemalloc.start()
        try:
            into(gitlab, "group/new").deliver(Big(tmp_path / "big", b""), context())
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert gitlab.imports()[0].received > 128 << 20
    assert peak < 16 << 20


def test_a_name_that_is_taken_is_refused_up_front(gitlab: FakeGitlab) -> None:
    gitlab.add(PATH, statuses=deque(["none"]))
    with pytest.raises(DestinationUnusable, match="has a project group/sub/new already"):
        into(gitlab).check(make_job(), 1)
    assert gitlab.imports() == []


@pytest.mark.parametrize("import_type", ["gitlab_project", "github"])
def test_a_name_that_was_taken_meanwhile_is_refused_before_the_upload(
    gitlab: FakeGitlab, archive: FileArchive, tmp_path: Path, import_type: str
) -> None:
    gitlab.add(PATH, statuses=deque(["finished"]), kind=import_type)
    with pytest.raises(DestinationUnusable, match="already") as error:
        into(gitlab, store_dir=str(tmp_path / "store")).deliver(archive, context())
    assert gitlab.imports() == []
    kept = tmp_path / "store" / "7" / archive.file_name
    assert f"the archive is kept at {kept}" in str(error.value.hint)
    assert kept.read_bytes() == DATA
    assert archive.file.exists()


def test_what_gitlab_says_of_a_name_taken_in_between_is_shown(
    gitlab: FakeGitlab, archive: FileArchive
) -> None:
    gitlab.posts.append(
        Answer(
            400, {"Content-Type": "application/json"}, b'{"message": {"path": ["has already been taken"]}}'
        )
    )
    with pytest.raises(DestinationUnusable, match=r"answered 400: .*has already been taken"):
        into(gitlab).deliver(archive, context())


def test_a_wrong_token_is_refused_up_front(gitlab: FakeGitlab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITLAB_TOKEN", "planted-but-wrong")
    with pytest.raises(DestinationUnusable, match="401") as error:
        into(gitlab).check(make_job(), 1)
    assert "GITLAB_TOKEN" in str(error.value.hint)


def test_no_token_is_wrong_usage(gitlab: FakeGitlab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITLAB_TOKEN")
    with pytest.raises(UsageError, match="no token for 127"):
        into(gitlab).check(make_job(), 1)


def test_a_token_from_the_keyring_is_used(gitlab: FakeGitlab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITLAB_TOKEN")
    asked: list[str] = []

    def secret(name: str) -> str | None:
        asked.append(name)
        return TOKEN

    into(gitlab, surroundings=Surroundings(secret=secret)).check(make_job(), 1)
    assert asked == [f"gitlab:127.0.0.1:{gitlab.server.port}"]


def test_no_permission_in_the_group_is_explained(gitlab: FakeGitlab, archive: FileArchive) -> None:
    gitlab.refuse = Answer(403, body=b'{"message": "403 Forbidden"}')
    with pytest.raises(DestinationUnusable, match="403") as error:
        into(gitlab).deliver(archive, context())
    assert "Maintainer" in str(error.value.hint)
    assert len(gitlab.imports()) == 1


def test_a_missing_group_is_refused_up_front(gitlab: FakeGitlab) -> None:
    with pytest.raises(DestinationUnusable, match="no group nowhere"):
        into(gitlab, "nowhere/new").check(make_job(), 1)


def test_a_server_that_is_no_gitlab_is_refused_up_front(gitlab: FakeGitlab) -> None:
    gitlab.server.reply = lambda _request: Answer(200, {"Content-Type": "text/html"}, b"<html>welcome</html>")
    with pytest.raises(DestinationUnusable):
        into(gitlab).check(make_job(), 1)


def test_a_server_that_is_not_there_is_refused_up_front(gitlab: FakeGitlab) -> None:
    base = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(DestinationUnusable, match="cannot be reached"):
        ImportGitlab(f"{base}/{PATH}", base).check(make_job(), 1)


def test_the_token_does_not_follow_a_redirect(gitlab: FakeGitlab) -> None:
    with HttpServer().running() as other:
        gitlab.server.reply = lambda _request: Answer(302, {"Location": other.url})
        with pytest.raises(DestinationUnusable, match="redirects"):
            into(gitlab).check(make_job(), 1)
        assert other.requests == []


def test_relations_that_gitlab_lost_are_warnings(gitlab: FakeGitlab, archive: FileArchive) -> None:
    gitlab.next_project.failed_relations = [
        {
            "id": 1,
            "exception_class": "RuntimeError",
            "exception_message": "A failure occurred",
            "relation_name": "merge_requests",
            "line_number": 3,
        },
        {
            "id": 2,
            "exception_class": "ActiveRecord::RecordInvalid",
            "exception_message": None,
            "relation_name": "issues",
            "line_number": None,
        },
    ]
    delivery = into(gitlab).deliver(archive, context())
    assert delivery.warnings == (
        "GitLab did not import merge_requests (line 3): A failure occurred",
        "GitLab did not import issues: ActiveRecord::RecordInvalid",
    )


def test_a_failed_import_says_why_and_keeps_the_archive(
    gitlab: FakeGitlab, archive: FileArchive, tmp_path: Path
) -> None:
    gitlab.next_project = Project(
        0,
        "",
        b"",
        deque(["scheduled", "failed"]),
        "something broke",
        [{"relation_name": "labels", "exception_message": "no"}],
    )
    strategy, checkpoint = into(gitlab, store_dir=str(tmp_path / "store")), MemoryCheckpoint()
    with pytest.raises(DestinationUnusable, match=r"something broke; failed relations: labels: no") as error:
        strategy.deliver(archive, context(checkpoint))
    assert "kept at" in str(error.value.hint)
    with pytest.raises(DestinationUnusable, match="something broke"):
        strategy.deliver(archive, context(checkpoint))
    assert len(gitlab.imports()) == 1, "resuming must not make a second project"
    gitlab.projects.clear()
    gitlab.next_project = Project(0, "", b"")
    strategy.deliver(archive, context(checkpoint))
    assert len(gitlab.imports()) == 2, "after the user deleted the failed project, resuming imports anew"
    assert not (tmp_path / "store" / "7").exists(), "and what was kept is gone"


def test_another_archive_format_is_explained(gitlab: FakeGitlab, archive: FileArchive) -> None:
    gitlab.next_project = Project(
        0, "", b"", deque(["failed"]), "Import version mismatch: Required 0.3.0 but was 0.2.4"
    )
    with pytest.raises(DestinationUnusable, match="version mismatch") as error:
        into(gitlab).deliver(archive, context())
    assert "another archive format" in str(error.value.hint)


def test_killed_while_gitlab_imports_resuming_only_waits(gitlab: FakeGitlab, archive: FileArchive) -> None:
    gitlab.next_project.statuses = deque(["scheduled"] + ["started"] * 5 + ["finished"])
    checkpoint = MemoryCheckpoint()

    def kill_while_waiting() -> None:
        if gitlab.projects and checkpoint.value.get("project_id"):
            raise Killed

    with contextlib.suppress(Killed):
        into(gitlab).deliver(archive, context(checkpoint, check_stop=kill_while_waiting))
    assert checkpoint.value["project_id"] == 100
    into(gitlab).deliver(archive, context(checkpoint))
    assert len(gitlab.imports()) == 1


def test_an_answer_that_was_lost_does_not_lead_to_a_second_upload(
    gitlab: FakeGitlab, archive: FileArchive
) -> None:
    """GitLab made the project, but a proxy answered 504: the project is found by its path."""
    gitlab.lost_answers = 1
    delivery = into(gitlab).deliver(archive, context())
    assert delivery.details["project_id"] == 100
    assert len(gitlab.imports()) == 1


def test_cancelling_while_gitlab_imports_deletes_the_new_project(
    gitlab: FakeGitlab, archive: FileArchive
) -> None:
    gitlab.next_project.statuses = deque(["started"])
    other = gitlab.add("group/other", statuses=deque(["started"]))
    checkpoint, strategy = MemoryCheckpoint(), into(gitlab)

    def cancel_while_waiting() -> None:
        if checkpoint.value.get("project_id"):
            raise Cancelled("cancelled")

    with pytest.raises(Cancelled):
        strategy.deliver(archive, context(checkpoint, check_stop=cancel_while_waiting))
    strategy.abandon(make_job(), checkpoint)
    strategy.abandon(make_job(), checkpoint)
    assert list(gitlab.projects.values()) == [other]


@pytest.mark.parametrize("status", ["finished", "failed"])
def test_a_project_whose_import_has_ended_is_never_deleted(gitlab: FakeGitlab, status: str) -> None:
    project = gitlab.add(PATH, statuses=deque([status]))
    into(gitlab).abandon(make_job(), MemoryCheckpoint({"starting": True, "project_id": project.id}))
    assert gitlab.projects == {project.id: project}


def test_abandoning_before_anything_was_begun_asks_nothing(
    gitlab: FakeGitlab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITLAB_TOKEN")
    into(gitlab).abandon(make_job(), MemoryCheckpoint())
    assert gitlab.server.requests == []


def test_remote_import_fetches_what_web_upload_delivered(gitlab: FakeGitlab, archive: FileArchive) -> None:
    with HttpServer().running() as storage:
        words = Words(
            to=f"{gitlab.server.url}/{PATH}",
            more={
                "upload_to": f"{storage.url}/x.tar.gz?sig=planted-put",
                "import_url": "https://storage/x.tar.gz?sig=planted-get",
            },
        )
        choice = strategies.choose("import-project", words)
        strategy = replace(strategies.build("import-project", choice.options), poll=0.01)  # type: ignore[type-var]
        strategy.check(make_job(), 1)
        checkpoint = MemoryCheckpoint()
        gitlab.posts.append(Answer(502))
        strategy.deliver(archive, context(checkpoint))
        assert [request.sha256 for request in storage.requests] == [archive.sha256], (
            "uploaded once, asked for twice"
        )
    project = gitlab.by_path(PATH)
    assert project is not None
    assert project.fetched == "https://storage/x.tar.gz?sig=planted-get"
    assert "planted" not in f"{choice.destination} {strategy!r}"


def test_a_refused_remote_import_does_not_show_the_url(gitlab: FakeGitlab, archive: FileArchive) -> None:
    with HttpServer().running() as storage:
        url = f"{storage.url}/x.tar.gz?sig=planted-signature"
        words = Words(to=f"{gitlab.server.url}/{PATH}", more={"upload_to": url})
        gitlab.refuse = Answer(
            400, {"Content-Type": "application/json"}, f'{{"message": "bad url {url}"}}'.encode()
        )
        strategy = ImportGitlab.from_words(words)
        with pytest.raises(DestinationUnusable, match="bad url") as error:
            strategy.deliver(archive, context())
    assert "planted" not in error.value.message


@pytest.mark.parametrize(
    ("to", "why"),
    [
        ("https://gitlab.example.com/project", "names no group"),
        ("https://gitlab.example.com/", "names no group"),
        ("https://gitlab.example.com/group/new.git", "cannot be part"),
        ("https://gitlab.example.com/group//new", "cannot be part"),
        ("https://oauth2:planted@gitlab.example.com/group/new", "more than an address"),
        ("https://gitlab.example.com/group/new?private_token=planted", "more than an address"),
        ("gitlab.example.com/group/new", "not an http or https URL"),
    ],
)
def test_an_address_that_cannot_be_is_wrong_usage(to: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as error:
        ImportGitlab.from_words(Words(to=to))
    assert "planted" not in error.value.message


def test_a_gitlab_below_a_path() -> None:
    words = Words(
        to="https://example.com/gitlab/group/new", more={"gitlab_url": "https://example.com/gitlab/"}
    )
    chosen = ImportGitlab.from_words(words)
    assert (chosen.base, chosen.path) == ("https://example.com/gitlab", "group/new")
    with pytest.raises(UsageError, match="not below"):
        ImportGitlab.from_words(replace(words, to="https://elsewhere.com/group/new"))


def test_still_there(gitlab: FakeGitlab) -> None:
    assert not into(gitlab).still_there(make_job())
    gitlab.add(PATH)
    assert into(gitlab).still_there(make_job())
    assert not ImportGitlab("http://127.0.0.1:1/a/b", "http://127.0.0.1:1").still_there(make_job())


def test_options_and_logs_hold_no_token(
    gitlab: FakeGitlab, archive: FileArchive, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    strategy = into(gitlab)
    strategy.deliver(archive, context())
    said = " ".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    assert "urllib3" in said
    assert "planted" not in f"{said} {strategy.options}"
