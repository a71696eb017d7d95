"""Every source, run through the one contract suite."""

from __future__ import annotations

import pytest

from export_core.sources.growi import GrowiSource, snapshot
from export_core.sources.growi.demo_wiki import demo_wiki
from tests.export_core.sources.contract import Case, SourceContract
from tests.export_core.sources.growi.mongo_stand_in import SECRET_URL, stand_in
from tests.export_core.sources.growi.rest_server import TOKEN, serve


class TestGrowiDemo(SourceContract):
    @pytest.fixture
    def case(self, monkeypatch):
        monkeypatch.setattr(snapshot, "PAGES_A_PART", 4)
        monkeypatch.setattr(snapshot, "FILES_A_PART", 1)
        return Case(GrowiSource("demo", {"url": "growi+demo://"}), "/", unknown="/nowhere")


class TestGrowiMongo(SourceContract):
    @pytest.fixture
    def case(self, monkeypatch):
        stand_in(monkeypatch, demo_wiki())
        source = GrowiSource("mongodb://db.example.com/growi", {"url": SECRET_URL})
        return Case(source, "/Sandbox", {"front_matter": True}, "/nowhere", ("p%40ssword",))


class TestGrowiRest(SourceContract):
    @pytest.fixture
    def case(self):
        with serve(demo_wiki()) as server:
            settings = {"url": f"growi+{server.url}", "token": TOKEN}
            yield Case(GrowiSource("wiki", settings), "/Sandbox", unknown="/nowhere", secrets=(TOKEN,))
