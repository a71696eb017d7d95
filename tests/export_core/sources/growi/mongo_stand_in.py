"""MongoDB as far as a test machine has it: mongomock, with documents that went through PyMongo's own BSON."""

from __future__ import annotations

import re
from datetime import datetime

import bson
import mongomock
from bson.codec_options import CodecOptions
from mongomock.store import ServerStore

from export_core.sources.growi import mongo_client
from export_core.sources.growi.demo_wiki import Wiki

SECRET_URL = "mongodb://reader:p%40ssword@db.example.com/growi"
CHUNK = 16
"""Far smaller than GridFS', so that files have several."""
_ID = re.compile(r"[0-9a-f]{24}\Z")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z\Z")


def stored(value):
    """A plain value as MongoDB stores it."""
    if isinstance(value, dict):
        return {key: stored(item) for key, item in value.items()}
    if isinstance(value, list):
        return [stored(item) for item in value]
    if isinstance(value, str) and _ID.match(value):
        return bson.ObjectId(value)
    if isinstance(value, str) and _DATE.match(value):
        return datetime.fromisoformat(value)
    return value


def through_bson(document):
    return bson.decode(bson.encode(stored(document)), codec_options=CodecOptions(tz_aware=True))


def fill(database, wiki: Wiki, *, gridfs: bool = True, site: str | None = None) -> None:
    for name, documents in wiki.collections.items():
        database[name].insert_many([through_bson(document) for document in documents])
    for name, data in wiki.contents.items() if gridfs else ():
        file = {"filename": name, "length": len(data), "chunkSize": CHUNK}
        found = database["attachmentFiles.files"].insert_one(file).inserted_id
        for number, at in enumerate(range(0, len(data), CHUNK)):
            chunk = {"files_id": found, "n": number, "data": data[at : at + CHUNK]}
            database["attachmentFiles.chunks"].insert_one(chunk)
    if site:
        database["configs"].insert_one({"ns": "crowi", "key": "app:siteUrl", "value": f'"{site}"'})


def stand_in(monkeypatch, wiki: Wiki, **options):
    """Let the source connect to a stand-in that holds a wiki; the database."""
    server = ServerStore()
    database = mongomock.MongoClient("mongodb://localhost/growi", _store=server)["growi"]
    fill(database, wiki, **options)
    monkeypatch.setattr(
        mongo_client, "connect", lambda url: mongomock.MongoClient(url, tz_aware=True, _store=server)
    )
    return database
