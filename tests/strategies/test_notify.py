"""Notifications: a real mail receiver, a real webhook; what fails is a warning without secrets."""

from __future__ import annotations

import base64
import json
import logging
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from export_core.errors import UsageError
from export_core.job import ArchiveInfo, ErrorInfo, Job, JobStatus, Phase
from strategies.notify import check_urls, send
from strategies.notify_text import Kind, message_for
from tests.strategies.contract import make_job
from tests.strategies.servers import Answer, HttpServer, MailReceiver, free_port


def finished(**changes: Any) -> Job:
    job = make_job(
        ArchiveInfo("/backup/project.tar.gz", 1536 << 20, "ab" * 32),
        status=JobStatus.FINISHED,
        finished_at="2024-05-01T11:02:04.000Z",
        delivery={"destination": "/backup/project.tar.gz"},
        warnings=("relation boards was left out",),
    )
    return replace(job, **changes)


def failed() -> Job:
    return make_job(
        status=JobStatus.FAILED,
        phase=Phase.EXPORTING,
        finished_at="2024-05-01T10:00:09.000Z",
        error=ErrorInfo("RelationFailed", "relation issues failed: table is gone", "look at the database"),
    )


def test_a_mail_of_success_says_project_size_duration_place_and_warnings() -> None:
    receiver = MailReceiver()
    with receiver.running() as port:
        url = f"mailto://127.0.0.1:{port}/?from=packmule@example.com&to=admin@example.com&mode=insecure"
        assert send([url], message_for(Kind.SUCCESS, finished())) == []
    (mail,) = receiver.mails
    assert mail["To"] == "admin@example.com"
    assert "group/project" in str(mail["Subject"])
    payload = (
        mail
        if not mail.is_multipart()
        else next(p for p in mail.walk() if p.get_content_type() == "text/plain")
    )
    text = payload.get_payload(decode=True).decode()  # type: ignore[union-attr]
    for part in (
        "group/project",
        "1.6 GB",
        "1:02 h",
        "/backup/project.tar.gz",
        "boards was left out",
    ):
        assert part in text


def test_a_webhook_of_failure_says_what_failed_and_how_to_resume() -> None:
    with HttpServer().running() as server:
        url = f"json://user:planted-password@127.0.0.1:{server.port}/hook"
        assert send([url], message_for(Kind.FAILURE, failed())) == []
    (request,) = server.requests
    said = json.loads(request.body)
    assert said["type"] == "failure"
    assert "export of group/project failed" in said["title"]
    for part in ("table is gone", "look at the database", "packmule resume 7", "exporting"):
        assert part in said["message"]
    assert request.headers["authorization"] == "Basic " + base64.b64encode(b"user:planted-password").decode()


def test_expiry_says_what_is_gone_and_how_to_make_it_anew() -> None:
    message = message_for(Kind.EXPIRED, finished())
    assert "expired" in message.subject
    assert "/backup/project.tar.gz" in message.body
    assert "packmule export group/project" in message.body


def test_one_receiver_that_fails_is_one_masked_warning_and_the_others_are_told(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with HttpServer().running() as server:
        server.answers.append(Answer(503, body=b"down for maintenance"))
        urls = [
            f"json://user:planted-password@127.0.0.1:{server.port}/planted-path?+X-Token=planted-token",
            f"mailto://user:planted-password@127.0.0.1:{free_port()}/?to=a@example.com&from=b@example.com&mode=insecure",
            f"json://127.0.0.1:{server.port}/second",
        ]
        warnings = send(urls, message_for(Kind.SUCCESS, finished()))
    assert [request.path.partition("?")[0] for request in server.requests] == ["/planted-path", "/second"]
    assert len(warnings) == 2
    assert warnings[0].startswith("the notification to json://127.0.0.1/*** was not sent")
    assert "503" in warnings[0]
    seen = " ".join([*warnings, *capfd.readouterr()]) + " ".join(
        record.getMessage() for record in caplog.records if record.name.startswith(("apprise", "strategies"))
    )
    assert "planted" not in seen


def test_a_plug_in_that_breaks_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    import apprise

    def broken(*_args: Any, **_words: Any) -> bool:
        raise RuntimeError("no idea what to do with planted-token")

    monkeypatch.setattr(apprise.Apprise, "notify", broken)
    (warning,) = send(["json://localhost/planted-token"], message_for(Kind.SUCCESS, finished()))
    assert "RuntimeError: no idea what to do" in warning
    assert "planted" not in warning


@pytest.mark.parametrize("url", ["planted", "foo://planted-token", "slack://planted-token", ""])
def test_an_url_that_is_not_understood_is_wrong_usage_without_showing_it(url: str) -> None:
    with pytest.raises(UsageError, match="number 2") as error:
        check_urls(["json://localhost/fine", url])
    assert "planted" not in f"{error.value.message} {error.value.hint}"


def test_without_apprise_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    check_urls([])
    with pytest.raises(UsageError) as error:
        check_urls(["json://localhost/fine"])
    assert "packmule[notify]" in str(error.value.hint)


def test_many_warnings_are_counted_not_listed() -> None:
    body = message_for(Kind.SUCCESS, finished(warnings=tuple(f"warning {n}" for n in range(50)))).body
    assert "Warnings (50):" in body
    assert "- and 30 more: packmule show" in body


def test_deprecations_inside_apprise_are_not_ours() -> None:
    program = (
        "from strategies.notify import check_urls, send; from strategies.notify_text import Message, Kind;"
        "check_urls(['json://127.0.0.1:1/x']);"
        "[warning] = send(['json://127.0.0.1:1/x'], Message(Kind.SUCCESS, 'subject', 'body'));"
        "assert 'was not sent' in warning and 'Deprecation' not in warning, warning"
    )
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
