"""The lines of a relation are as many as its rows, counted by other means in the very same snapshot."""

from __future__ import annotations

import psycopg
import pytest

from export_core.source import Selection
from export_core.sources.gitlab_db.planning import FILE_RELATIONS
from export_core.sources.gitlab_db.source import GitlabSource
from tests.export_core.sources.gitlab_db.conftest import RealGitlab
from tests.export_core.sources.gitlab_db.databases import BASE, SPLIT, copied
from tests.export_core.sources.gitlab_db.product_runs import Collected, Way, export
from tests.export_core.sources.gitlab_db.surroundings import PATHS

_OF_PROJECT = {
    "labels": "labels WHERE project_id = 1 AND type = 'ProjectLabel'",
    "milestones": "milestones WHERE project_id = 1",
    "issues": "issues WHERE project_id = 1",
    "snippets": "snippets WHERE project_id = 1 AND type = 'ProjectSnippet'",
    "releases": "releases WHERE project_id = 1",
    "merge_requests": "merge_requests WHERE target_project_id = 1",
    "external_pull_requests": "external_pull_requests WHERE project_id = 1",
    "commit_notes": "notes WHERE project_id = 1 AND noteable_type = 'Commit'",
    "ci_pipelines": "p_ci_pipelines WHERE project_id = 1"
    " AND coalesce(source, 0) NOT IN (9, 12, 13, 14, 15, 16, 17, 18, 77)",
    "pipeline_schedules": "ci_pipeline_schedules WHERE project_id = 1",
    "protected_branches": "protected_branches WHERE project_id = 1",
    "protected_tags": "protected_tags WHERE project_id = 1",
    "custom_attributes": "project_custom_attributes WHERE project_id = 1",
    "project_badges": "badges WHERE project_id = 1 AND type = 'ProjectBadge'",
    "boards": "boards WHERE project_id = 1",
    "protected_environments": "protected_environments WHERE project_id = 1",
    "approval_rules": "approval_project_rules WHERE project_id = 1"
    " AND coalesce(report_type, 0) NOT IN (2, 4, 5)",
    "vulnerabilities": "vulnerabilities WHERE project_id = 1",
}


def _database(gitlab: RealGitlab, relation: str) -> str:
    fact = next(node for node in gitlab.facts.relations if node["name"] == relation)
    return str(fact["database"])


def _count(dsn: str, rest: str) -> int:
    with psycopg.connect(dsn) as db:
        return int(db.execute(f"SELECT count(*) FROM {rest}").fetchall()[0][0])


@pytest.mark.parametrize("names", [(BASE,) * 3, SPLIT], ids=["one database", "three databases"])
def test_lines_are_the_rows_counted_by_sql(gitlab: RealGitlab, names: tuple[str, ...]) -> None:
    exported = export(gitlab.settings(*dict.fromkeys(names)), PATHS[0], Way(workers=2, rows=4))
    places = dict(zip(("main", "ci", "sec"), names, strict=True))
    lists = {node["name"] for node in gitlab.facts.relations if node["cardinality"] == "list"}
    assert lists == {*_OF_PROJECT, "project_members"}
    for relation, rest in _OF_PROJECT.items():
        counted = _count(gitlab.dsn(places[_database(gitlab, relation)]), rest)
        written = (exported.text(relation) or b"").count(b"\n")
        assert counted > 2, relation
        assert (exported.planned[relation], exported.lines[relation], written) == (counted,) * 3, relation


def test_what_changes_after_the_snapshot_is_not_seen(gitlab: RealGitlab) -> None:
    with copied(gitlab.dsn, "living") as name:
        source = GitlabSource("test", gitlab.settings(name))
        snapshot = source.open(PATHS[0], {})
        before = {relation: _count(gitlab.dsn(name), rest) for relation, rest in _OF_PROJECT.items()}
        with psycopg.connect(gitlab.dsn(name), autocommit=True) as db:
            db.execute("DELETE FROM issues WHERE id % 2 = 0")
            db.execute("UPDATE notes SET noteable_type = 'Issue'")
            db.execute(
                "INSERT INTO labels (id, title, project_id, type) VALUES (900, 'late', 1, 'ProjectLabel')"
            )
            db.execute("DELETE FROM p_ci_pipelines")
        plan = snapshot.plan(Selection(skip=FILE_RELATIONS))
        reader = source.reader(snapshot.token)
        lines: dict[str, int] = {}
        for part in plan.parts:
            sink = Collected()
            reader.read(part, sink)
            lines[part.relation] = lines.get(part.relation, 0) + sink.data.count(b"\n")
            assert part.lines in (None, sink.said), part.relation
        reader.close()
        snapshot.close()
    assert {relation: lines[relation] for relation in before} == before


def test_a_part_planned_earlier_is_counted_again_in_a_newer_snapshot(gitlab: RealGitlab) -> None:
    """What a resumed job does: the ids stay, rows that are gone meanwhile are no lines."""
    with copied(gitlab.dsn, "resumed") as name:
        source = GitlabSource("test", gitlab.settings(name))
        first = source.open(PATHS[0], {})
        part = next(part for part in first.plan(Selection(only=("issues",))).parts)
        first.close()
        with psycopg.connect(gitlab.dsn(name), autocommit=True) as db:
            gone = db.execute("DELETE FROM issues WHERE project_id = 1 AND id % 2 = 0").rowcount
        second = source.reopen(PATHS[0], {}, {})
        again = second.refresh(part)
        reader, sink = source.reader(second.token), Collected()
        reader.read(again, sink)
        reader.close()
        second.close()
    assert gone > 0
    assert again.lines == sink.said == sink.data.count(b"\n") == (part.lines or 0) - gone
