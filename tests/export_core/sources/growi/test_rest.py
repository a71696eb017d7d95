from __future__ import annotations

import pytest
import stamina

from export_core.errors import (
    PackmuleError,
    RelationFailed,
    SourceInterrupted,
    SourceUnavailable,
    UsageError,
)
from export_core.source import Selection
from export_core.sources.growi import GrowiSource, rest, rest_client
from export_core.sources.growi.demo_wiki import demo_wiki
from tests.export_core.sources.contract import CollectingSink, content_of, read_all
from tests.export_core.sources.growi.rest_server import TOKEN, serve


@pytest.fixture(autouse=True)
def no_waiting():
    stamina.set_testing(True, attempts=3)
    yield
    stamina.set_testing(False)


@pytest.fixture
def server():
    with serve(demo_wiki()) as one:
        yield one


@pytest.fixture
def source(server, monkeypatch):
    monkeypatch.setenv("PACKMULE_GROWI_TOKEN", TOKEN)
    return GrowiSource("wiki", {"url": f"growi+{server.url}"})


def files(source: GrowiSource, project: str = "/", **options) -> dict[str, bytes]:
    snapshot = source.open(project, options)
    contents = read_all(source, snapshot.token, snapshot.plan(Selection()).parts)
    return {name: data for content in contents.values() for name, data in content.files}


def from_memory(**options) -> dict[str, bytes]:
    return files(GrowiSource("demo", {"url": "growi+demo://"}), **options)


def test_what_alice_sees(source):
    """Over HTTP the token's owner decides; link-only pages are not in lists."""
    found = files(source)
    expected = from_memory(as_user="alice")
    assert found.keys() == expected.keys()
    differing = {name for name in found if found[name] != expected[name]}
    assert differing == {"_top.md"}  # the only page with the wiki's own address, which is another here


@pytest.mark.parametrize("limit", [1, 7])
def test_paging(source, server, monkeypatch, limit):
    server.most = limit
    monkeypatch.setattr(rest, "_LIST_LIMIT", 10)
    assert files(source).keys() == from_memory(as_user="alice").keys()


def test_restricted_pages_that_are_listed_but_not_shown(source, server):
    server.user = "bob"
    snapshot = source.open("/Rights", {})
    plan = snapshot.plan(Selection())
    assert any("left out: 4" in warning for warning in plan.warnings)
    assert snapshot.details["left_out"] == {"unreadable": 4}
    assert sum(part.lines for part in plan.parts if part.relation == "pages") == 1


def test_a_page_that_moves_to_the_front_of_the_list_is_not_missed(source, server, monkeypatch):
    monkeypatch.setattr(rest, "_LIST_LIMIT", 10)
    pages = server.documents("pages")
    moved = min((p for p in pages if p["path"].startswith("/Names/")), key=lambda p: p["updatedAt"])

    def update(number: int) -> None:
        if number == 2:
            moved["updatedAt"] = "2030-01-01T00:00:00.000Z"

    server.on_list = update
    found = source.open("/", {}).plan(Selection())
    assert sum(p.lines for p in found.parts if p.relation == "pages") == len(from_memory(as_user="alice")) - 2


def test_a_page_that_goes_while_the_list_is_read_shifts_no_other_out(source, server, monkeypatch):
    monkeypatch.setattr(rest, "_LIST_LIMIT", 10)
    server.on_list = lambda number: number == 2 and len(seen := server.documents("pages")) > 36 and seen.pop()
    before = len(server.documents("pages"))
    plan = source.open("/", {}).plan(Selection())
    assert len(server.documents("pages")) < before
    server.on_list = lambda number: None
    again = source.open("/", {}).plan(Selection())
    assert plan == again


def test_a_list_that_never_rests(source, server, monkeypatch):
    monkeypatch.setattr(rest, "_LIST_LIMIT", 10)
    server.on_list = lambda number: server.wiki.page(f"/new/{len(server.asked)}", "x")
    with pytest.raises(SourceInterrupted, match="faster than it can be read"):
        source.open("/", {})


def test_too_many_requests_are_tried_again_after_the_time_named(source, server, monkeypatch):
    server.answers = [(429, {"Retry-After": "7"}), (503, {})]
    assert files(source, "/Sandbox")
    error = rest_client._TryLater("x")
    error.wait = 7.0
    assert rest_client._backoff(error) == 7.0
    error.wait = 3600.0
    assert rest_client._backoff(error) is False
    assert rest_client._backoff(rest_client._TryLater("x")) is True
    assert rest_client._backoff(SourceUnavailable("x")) is False


def test_a_wiki_that_stays_busy(source, server):
    server.answers = [(503, {})] * 3
    with pytest.raises(SourceInterrupted, match="503"):
        source.open("/", {})


def test_slow_answers(server):
    client = rest_client.RestClient(server.url, TOKEN, timeout=0.05)
    server.slow = 0.3
    with pytest.raises(SourceInterrupted, match="in time"):
        client.get("/pages/list", {"path": "/", "page": 1, "limit": 1})
    client.close()


@pytest.mark.parametrize("status", [401, 403, 302])
def test_a_token_that_is_refused(source, server, status):
    server.answers = [(status, {"Location": "/login"})]
    with pytest.raises(SourceUnavailable) as error:
        source.open("/", {})
    assert "token" in error.value.message + error.value.hint
    assert TOKEN not in error.value.message + error.value.hint


def test_no_token(source, monkeypatch):
    monkeypatch.delenv("PACKMULE_GROWI_TOKEN")
    with pytest.raises(SourceUnavailable, match="no access token") as error:
        source.open("/", {})
    assert "PACKMULE_GROWI_TOKEN" in error.value.hint


def test_token_from_another_variable_or_the_settings(server, monkeypatch):
    monkeypatch.delenv("PACKMULE_GROWI_TOKEN", raising=False)
    monkeypatch.setenv("OTHER", TOKEN)
    for more in ({"token_env": "OTHER"}, {"token": TOKEN}):
        source = GrowiSource("wiki", {"url": f"growi+{server.url}", **more})
        assert files(source, "/Sandbox")
        assert TOKEN not in repr(source)


def test_a_page_that_cannot_be_read_any_more(source, server):
    for allowed in (False, True):
        snapshot = source.open("/Sandbox", {"allow_missing": allowed})
        part = next(p for p in snapshot.plan(Selection()).parts if p.relation == "pages")
        page = next(p for p in server.documents("pages") if p["path"] == "/Sandbox/Math")
        page["grant"], page["grantedUsers"] = 4, ["another"]
        reader, sink = source.reader(snapshot.token), CollectingSink(part)
        if allowed:
            reader.read(part, sink)
            assert any("/Sandbox/Math" in warning for warning in sink.warnings)
            assert sink.count == part.lines == 3
        else:
            with pytest.raises(RelationFailed, match="/Sandbox/Math"):
                reader.read(part, sink)
        page["grant"] = 1
        reader.close()


def test_another_revision_than_the_frozen_one_is_not_taken_for_it(source, server, monkeypatch):
    snapshot = source.open("/Sandbox", {})
    part = next(p for p in snapshot.plan(Selection()).parts if p.relation == "pages")
    find = server.find
    newest = server.documents("revisions")[-1]["_id"]
    server.find = lambda name, identity: find(name, newest if name == "revisions" else identity)
    with pytest.raises(RelationFailed):
        source.reader(snapshot.token).read(part, CollectingSink(part))


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("small", [0, 1 << 20])
def test_downloads(source, server, monkeypatch, chunked, small):
    monkeypatch.setattr(rest, "_SMALL_BYTES", small)
    server.chunked = chunked
    found = {name: data for name, data in files(source, "/Sandbox").items() if name.startswith("_att")}
    assert sorted(found.values()) == sorted(server.wiki.contents.values())


def test_an_attachment_that_is_not_there(source, server):
    server.wiki.contents.popitem()
    with pytest.raises(RelationFailed, match="メモ"):
        files(source, "/Sandbox")
    assert any(name.endswith(".missing.txt") for name in files(source, "/Sandbox", allow_missing=True))


def test_as_user_needs_the_database(source):
    with pytest.raises(UsageError, match="MongoDB"):
        source.open("/", {"as_user": "bob"})


def test_nothing_listens():
    source = GrowiSource("wiki", {"url": "growi+http://127.0.0.1:9", "token": TOKEN})
    with pytest.raises(SourceInterrupted, match="cannot be reached"):
        source.open("/", {})
    (check,) = source.checks()
    assert check.status == "failed"


def test_doctor_warns_of_a_token_in_the_clear(server):
    client = rest_client.RestClient(server.url, TOKEN)
    assert [check.status for check in rest.RestStore(client).checks()] == ["ok"]
    client.base = "http://wiki.example.com"
    assert [check.status for check in rest.RestStore(client).checks()] == ["ok", "warning"]
    client.close()


def test_not_a_wiki(source, server):
    server.answers = [(200, {})]
    with pytest.raises(PackmuleError):
        source.open("/", {})


def test_the_token_is_in_no_address(source, server):
    files(source, "/Sandbox")
    assert server.asked
    assert not any(TOKEN in address for address in server.asked)


def test_reading_a_part_takes_one_call_a_page(source, server):
    snapshot = source.open("/Sandbox", {})
    (part,) = [p for p in snapshot.plan(Selection()).parts if p.relation == "pages"]
    server.asked.clear()
    content_of(source.reader(snapshot.token), part)
    assert len(server.asked) == part.lines
