from __future__ import annotations

import os
import socket
import uuid
from contextlib import closing
from functools import partial

import bson
import pytest
from pymongo import errors

from export_core.errors import ExportFailed, RelationFailed, SourceInterrupted, SourceUnavailable, UsageError
from export_core.source import Selection
from export_core.sources.growi import GrowiSource, mongo_client
from export_core.sources.growi.demo_wiki import demo_wiki
from export_core.sources.growi.mongo import MongoStore
from tests.export_core.sources.contract import CollectingSink, content_of, read_all
from tests.export_core.sources.growi.mongo_stand_in import SECRET_URL, fill, stand_in

DEMO = GrowiSource("demo", {"url": "growi+demo://"})


@pytest.fixture
def source() -> GrowiSource:
    return GrowiSource("wiki", {"url": SECRET_URL})


def everything(source: GrowiSource, project: str, options: dict) -> dict:
    snapshot = source.open(project, options)
    return read_all(source, snapshot.token, snapshot.plan(Selection()).parts)


@pytest.mark.parametrize(
    ("project", "options"),
    [
        ("/", {}),
        ("/", {"as_user": "alice", "front_matter": True}),
        ("/", {"include_trash": True, "include_drafts": True}),
        ("/Names/a", {}),
    ],
)
def test_mongodb_gives_what_the_same_wiki_gives_from_memory(monkeypatch, source, project, options):
    stand_in(monkeypatch, demo_wiki(), site="https://wiki.example.com")
    assert everything(source, project, options) == everything(DEMO, project, options)


def test_one_query_for_the_texts_of_a_part(monkeypatch, source):
    database = stand_in(monkeypatch, demo_wiki())
    snapshot = source.open("/", {})
    (part,) = [part for part in snapshot.plan(Selection()).parts if part.relation == "pages"]
    reader = source.reader(snapshot.token)
    collection = type(database["revisions"])
    calls = []
    find = collection.find

    def counting(self, *args, **kwargs):
        calls.append(self.name)
        return find(self, *args, **kwargs)

    monkeypatch.setattr(collection, "find", counting)
    reader.read(part, CollectingSink(part))
    assert calls == ["revisions"]


def test_a_changed_wiki_gives_the_frozen_texts(monkeypatch, source):
    database = stand_in(monkeypatch, demo_wiki())
    snapshot = source.open("/Sandbox", {})
    plan = snapshot.plan(Selection())
    before = read_all(source, snapshot.token, plan.parts)
    revision = database["revisions"].insert_one({"body": "New.", "format": "markdown"}).inserted_id
    database["pages"].update_one({"path": "/Sandbox/Math"}, {"$set": {"revision": revision}})
    database["pages"].update_one({"path": "/Sandbox/Diagrams"}, {"$set": {"path": "/Elsewhere"}})
    database["pages"].insert_one({"path": "/Sandbox/New", "revision": revision})
    later = source.reopen("/Sandbox", {}, dict(snapshot.details))
    assert later.token == snapshot.token
    assert read_all(source, later.token, tuple(map(later.refresh, plan.parts))) == before


def test_a_revision_that_is_gone_fails_or_is_noted(monkeypatch, source):
    database = stand_in(monkeypatch, demo_wiki())
    page = database["pages"].find_one({"path": "/Sandbox/Math"})
    for allowed in (False, True):
        snapshot = source.open("/Sandbox", {"allow_missing": allowed})
        part = next(p for p in snapshot.plan(Selection()).parts if p.relation == "pages")
        database["revisions"].delete_one({"_id": page["revision"]})
        sink = CollectingSink(part)
        with closing(source.reader(snapshot.token)) as reader:
            if not allowed:
                with pytest.raises(RelationFailed, match="/Sandbox/Math") as error:
                    reader.read(part, sink)
                assert "--allow-missing" in error.value.hint
                continue
            reader.read(part, sink)
        assert [w for w in sink.warnings if "/Sandbox/Math" in w]
        assert b"could not be read" in dict(sink.files)["Sandbox/Math.md"]
        assert sink.count == part.lines


def test_a_resume_may_allow_what_is_missing(monkeypatch, source):
    database = stand_in(monkeypatch, demo_wiki())
    snapshot = source.open("/Sandbox", {})
    database["revisions"].delete_many({})
    later = source.reopen("/Sandbox", {"allow_missing": True}, dict(snapshot.details))
    part = later.refresh(next(p for p in snapshot.plan(Selection()).parts if p.relation == "pages"))
    sink = CollectingSink(part)
    with closing(source.reader(later.token)) as reader:
        reader.read(part, sink)
    assert len(sink.warnings) == len(sink.files) == part.lines == 3


def test_attachments_without_files(monkeypatch, source):
    database = stand_in(monkeypatch, demo_wiki())
    database["attachmentFiles.files"].delete_one({"filename": {"$regex": "png$"}})
    with pytest.raises(ExportFailed, match=r"pixel 1\.png") as error:
        source.open("/", {}).plan(Selection())
    assert "--skip attachments" in error.value.hint
    assert source.open("/", {}).plan(Selection(skip=("attachments",)))
    plan = source.open("/", {"allow_missing": True}).plan(Selection())
    assert any("pixel 1.png" in warning for warning in plan.warnings)
    assert sum(part.lines or 0 for part in plan.parts if part.relation == "attachments") == 1


def test_an_attachment_that_vanishes_later(monkeypatch, source):
    database = stand_in(monkeypatch, demo_wiki())
    for allowed in (False, True):
        snapshot = source.open("/", {"allow_missing": allowed})
        (part,) = [p for p in snapshot.plan(Selection()).parts if p.relation == "attachments"]
        gone = list(database["attachmentFiles.files"].find({"filename": {"$regex": "png$"}}))
        database["attachmentFiles.files"].delete_one({"_id": gone[0]["_id"]})
        with closing(source.reader(snapshot.token)) as reader:
            if allowed:
                names = [name for name, _ in content_of(reader, part).files]
                assert names[0].endswith("pixel 1.png.missing.txt")
            else:
                with pytest.raises(RelationFailed, match=r"pixel 1\.png"):
                    content_of(reader, part)
        database["attachmentFiles.files"].insert_many(gone)


def test_attachments_in_a_directory(monkeypatch, tmp_path):
    wiki = demo_wiki()
    stand_in(monkeypatch, wiki, gridfs=False)
    (tmp_path / "attachment").mkdir()
    for name, data in wiki.contents.items():
        (tmp_path / "attachment" / name).write_bytes(data)
    (tmp_path / "secret.txt").write_text("not to be exported")
    wiki.collections["attachments"][0]["fileName"] = "../secret.txt"
    source = GrowiSource("wiki", {"url": SECRET_URL, "uploads": str(tmp_path)})
    assert everything(source, "/Sandbox", {}) == everything(DEMO, "/Sandbox", {})
    stand_in(monkeypatch, wiki, gridfs=False)
    with pytest.raises(ExportFailed, match="without a file: 1"):
        source.open("/Sandbox", {}).plan(Selection())


def test_attachments_kept_elsewhere_are_refused_before_the_start(monkeypatch, source):
    stand_in(monkeypatch, demo_wiki(), gridfs=False)
    with pytest.raises(UsageError, match="not in its database") as error:
        source.open("/", {})
    assert "--skip attachments" in error.value.hint
    plan = source.open("/", {"attachments": False}).plan(Selection())
    assert "attachments" not in plan.relations
    assert any(check.status == "warning" and "uploads" in check.message for check in source.checks())


def test_doctor_says_what_it_sees(monkeypatch, source):
    stand_in(monkeypatch, demo_wiki())
    found = {check.name: check for check in source.checks()}
    assert {check.status for check in found.values()} == {"ok"}
    count = len(demo_wiki().collections["pages"])
    assert f"{count} documents" in found["pages"].message


def test_a_server_that_does_not_answer(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(mongo_client, "_SERVER_SELECTION_MS", 50)
    source = GrowiSource("wiki", {"url": f"mongodb://user:p%40ssword@127.0.0.1:{port}/growi"})
    with pytest.raises(SourceUnavailable) as error:
        source.open("/", {})
    assert "p%40ssword" not in error.value.message + (error.value.hint or "")
    assert "p@ssword" not in error.value.message
    (check,) = source.checks()
    assert check.status == "failed"


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (errors.AutoReconnect("gone"), SourceInterrupted),
        (errors.NetworkTimeout("slow"), SourceInterrupted),
        (errors.CursorNotFound("old"), SourceInterrupted),
        (errors.OperationFailure("not authorized", 13), SourceUnavailable),
        (errors.InvalidDocument("odd"), SourceUnavailable),
        (bson.errors.InvalidBSON("odd"), SourceUnavailable),
    ],
)
def test_errors_of_the_driver(raised, expected):
    with pytest.raises(expected) as error, mongo_client.translated():
        raise raised
    assert error.value.transient == (expected is SourceInterrupted)


@pytest.mark.parametrize("url", ["mongodb://", "mongodb://host:port/x", "mongodb://a:b@c:d@host/x"])
def test_malformed_urls(url):
    with pytest.raises(UsageError):
        GrowiSource("wiki", {"url": url}).open("/", {})


def test_a_url_without_database(monkeypatch):
    source = GrowiSource("wiki", {"url": "mongodb://127.0.0.1:9/"})
    with pytest.raises(UsageError, match="names no database"):
        source.open("/", {})


def test_pymongo_missing(monkeypatch):
    import builtins

    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] in {"pymongo", "bson"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match="pymongo") as error:
        GrowiSource("wiki", {"url": "mongodb://host/growi"}).open("/", {})
    assert "packmule[growi]" in error.value.hint


@pytest.mark.skipif("PACKMULE_TEST_MONGODB" not in os.environ, reason="PACKMULE_TEST_MONGODB names no server")
def test_a_real_server():
    url = os.environ["PACKMULE_TEST_MONGODB"]
    name = f"packmule_test_{uuid.uuid4().hex[:12]}"
    client = mongo_client.connect(url)
    try:
        fill(client[name], demo_wiki(), site="https://wiki.example.com")
        source = GrowiSource("wiki", {"url": url, "database": name})
        for options in ({}, {"as_user": "alice", "include_trash": True}):
            assert everything(source, "/", options) == everything(DEMO, "/", options)
        with closing(MongoStore(partial(mongo_client.connect, url), database=name)) as store:
            assert "server_version" in store.describe()
    finally:
        client.drop_database(name)
        client.close()
