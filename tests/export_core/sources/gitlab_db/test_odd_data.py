"""Data that cannot be rendered: named, not lost without a word."""

from __future__ import annotations

import json
from dataclasses import replace

import psycopg
import pytest

from export_core.errors import RelationFailed
from tests.export_core.sources.gitlab_db.comparison import check_project
from tests.export_core.sources.gitlab_db.conftest import RealGitlab
from tests.export_core.sources.gitlab_db.databases import copied
from tests.export_core.sources.gitlab_db.product_runs import export
from tests.export_core.sources.gitlab_db.surroundings import PATHS


def test_broken_yaml_names_its_record(gitlab: RealGitlab) -> None:
    with copied(gitlab.dsn, "broken") as name:
        with psycopg.connect(gitlab.dsn(name)) as db:
            query = (
                "UPDATE merge_requests SET merge_params = '--- [1' WHERE target_project_id = 1 RETURNING id"
            )
            ids = [row[0] for row in db.execute(query)]
        with pytest.raises(RelationFailed, match=f"record with id ({'|'.join(map(str, ids))})") as failed:
            export(gitlab.settings(name), PATHS[0])
        assert "merge_requests" in failed.value.message
        exported = export(gitlab.settings(name), PATHS[0], options={"allow_missing": True})
    told = [warning for warning in exported.warnings if "not readable YAML" in warning]
    for id in ids:
        assert any(f"record with id {id}:" in warning for warning in told)
    lines = [json.loads(line) for line in (exported.text("merge_requests") or b"").splitlines()]
    assert [line["merge_params"] for line in lines] == [{}] * len(ids)


def test_missing_diff_files_name_the_file(gitlab: RealGitlab) -> None:
    storage = replace(gitlab.settings().storage, external_diffs="/nonexistent")
    settings = replace(gitlab.settings(), storage=storage)
    with pytest.raises(RelationFailed, match=r"merge_request_diffs/mr-\d+/diff-\d+"):
        export(settings, PATHS[0])
    exported = export(settings, PATHS[0], options={"allow_missing": True})
    assert any("merge_request_diffs/mr-" in warning for warning in exported.warnings)
    expected = gitlab.serialiser(gitlab.tables(), PATHS[0])
    differences = check_project(exported, expected, gitlab.facts.relations)
    assert differences
    assert all(".utf8_diff: '' instead of" in told for told in differences)


def test_times_of_infinity_are_null_and_stop_nothing(gitlab: RealGitlab) -> None:
    with copied(gitlab.dsn, "endless") as name:
        with psycopg.connect(gitlab.dsn(name)) as db:
            db.execute(
                "UPDATE issues SET created_at = 'infinity', updated_at = '-infinity', due_date = 'infinity'"
            )
            db.execute("UPDATE snippets SET created_at = 'infinity'")
        exported = export(gitlab.settings(name), PATHS[0])
        expected = gitlab.serialiser(gitlab.tables(name), PATHS[0])
        assert check_project(exported, expected, gitlab.facts.relations) == []
    line = json.loads((exported.text("issues") or b"").splitlines()[0])
    assert (line["created_at"], line["updated_at"], line["due_date"]) == (None, None, None)
