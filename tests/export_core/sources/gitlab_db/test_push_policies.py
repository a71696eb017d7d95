"""Security policies that forbid pushing: ``allow_force_push`` is then false, whatever its column says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from export_core.source import Selection
from export_core.sources.gitlab_db.checks import checks
from export_core.sources.gitlab_db.push_policies import matches
from export_core.sources.gitlab_db.settings import GitlabSettings, Storage
from export_core.sources.gitlab_db.source import GitlabSource
from tests.export_core.sources.gitlab_db.conftest import RealGitlab
from tests.export_core.sources.gitlab_db.databases import copied
from tests.export_core.sources.gitlab_db.product_runs import Collected
from tests.export_core.sources.gitlab_db.surroundings import PATHS

# As GitLab 18's migrations make them, without what is not read.
_TABLES = """
CREATE TABLE security_policies (id bigserial PRIMARY KEY, policy_index smallint NOT NULL DEFAULT 0,
  name text NOT NULL DEFAULT '', type smallint NOT NULL, enabled boolean NOT NULL DEFAULT true,
  content jsonb NOT NULL DEFAULT '{}');
CREATE TABLE security_policy_project_links (id bigserial PRIMARY KEY, project_id bigint NOT NULL,
  security_policy_id bigint NOT NULL);
CREATE TABLE approval_policy_rules (id bigserial PRIMARY KEY, security_policy_id bigint NOT NULL,
  rule_index smallint NOT NULL, type smallint NOT NULL DEFAULT 0, content jsonb NOT NULL DEFAULT '{}')
"""
_OLD = "CREATE TABLE scan_result_policies (id bigint, project_id bigint, project_approval_settings jsonb)"
_BRANCH = "INSERT INTO protected_branches (id, project_id, name, allow_force_push) VALUES (%s, 1, %s, %s)"
_FORBID = {"approval_settings": {"prevent_pushing_and_force_pushing": True}}
# The repository of the first project has main, feature and bränch/ü.
_NAMES = ("main", "feature", "gone", "release/*", "quiet")


@pytest.fixture
def database(gitlab: RealGitlab) -> Iterator[tuple[str, Any]]:
    """A copy with empty policy tables and five protected branches, all but one to be pushed with force."""
    with copied(gitlab.dsn, "policies") as name, psycopg.connect(gitlab.dsn(name), autocommit=True) as db:
        db.execute(_TABLES)
        db.execute("DELETE FROM protected_branches")
        for id, branch in enumerate(_NAMES, 1):
            row = (id, branch, branch != "quiet")
            db.execute(_BRANCH, row)
        yield name, db


def _policy(db: Any, rules: list[Any], **told: Any) -> None:
    policy = {"type": 0, "enabled": True, "content": _FORBID, "project": 1, "index": 0, **told}
    (id,) = db.execute(
        "INSERT INTO security_policies (type, enabled, content) VALUES (%s, %s, %s) RETURNING id",
        (policy["type"], policy["enabled"], Jsonb(policy["content"])),
    ).fetchone()
    db.execute(
        "INSERT INTO security_policy_project_links (project_id, security_policy_id) VALUES (%s, %s)",
        (policy["project"], id),
    )
    for rule in rules:
        db.execute(
            "INSERT INTO approval_policy_rules (security_policy_id, rule_index, content) VALUES (%s, %s, %s)",
            (id, policy["index"], Jsonb(rule)),
        )


def _forced(settings: GitlabSettings) -> set[str]:
    """Names of the first project's branches to which force-pushes are allowed."""
    sink, _ = _exported(settings)
    return {row["name"] for row in map(json.loads, sink.data.splitlines()) if row["allow_force_push"]}


def _exported(settings: GitlabSettings, path: str = PATHS[0]) -> tuple[Collected, tuple[str, ...]]:
    """The relation alone, and the plan's warnings."""
    source, sink = GitlabSource("test", settings), Collected()
    snapshot = source.open(path, {})
    reader = source.reader(snapshot.token)
    try:
        plan = snapshot.plan(Selection(only=("protected_branches",)))
        for part in plan.parts:
            reader.read(part, sink)
    finally:
        reader.close()
        snapshot.close()
    return sink, plan.warnings


_ALL = {"main", "feature", "gone", "release/*"}
_CASES: list[tuple[list[Any], set[str]]] = [
    ([{"branch_type": "protected"}], set()),
    ([{"branches": []}], set()),
    ([{"branch_type": "default"}], _ALL - {"main"}),
    ([{"branch_type": "all"}], {"gone", "release/*"}),
    ([{"branches": ["feature", "rel*"]}], {"main", "gone"}),
    ([{"branches": ["ma"]}, {"something": "else"}], _ALL),
    ([{"branch_type": "target_protected", "branch_exceptions": ["main"]}], _ALL),
    ([{"branch_type": "protected", "branch_exceptions": ["m*n", {"name": "gone", "full_path": PATHS[0]}]}],
     {"main", "gone"}),
    ([{"branch_type": "protected", "branch_exceptions": [{"name": "main", "full_path": "other/project"}]}],
     set()),
    ([{"branch_type": "protected"}, {"branches": ["x"], "branch_exceptions": ["main"]}], {"main"}),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "allowed"), _CASES, ids=range(len(_CASES)))
def test_branches_that_policies_guard(
    gitlab: RealGitlab, database: tuple[str, Any], rules: list[Any], allowed: set[str]
) -> None:
    name, db = database
    _policy(db, rules)
    assert _forced(gitlab.settings(name, license="licensed")) == allowed


@pytest.mark.parametrize(
    "told",
    [
        {"enabled": False},
        {"type": 1},
        {"content": {"approval_settings": {"prevent_pushing_and_force_pushing": False}}},
        {"content": {**_FORBID, "enforcement_type": "warn"}},
        {"project": 2},
        {"index": -1},
    ],
    ids=str,
)
def test_policies_that_do_not_count(
    gitlab: RealGitlab, database: tuple[str, Any], told: dict[str, Any]
) -> None:
    name, db = database
    _policy(db, [{"branch_type": "protected"}], **told)
    assert _forced(gitlab.settings(name, license="licensed")) == _ALL


@pytest.mark.parametrize("license", ["ce", "free"])
def test_without_a_licence_policies_forbid_nothing(
    gitlab: RealGitlab, database: tuple[str, Any], license: str
) -> None:
    name, db = database
    _policy(db, [{"branch_type": "protected"}])
    assert _forced(gitlab.settings(name, license=license)) == _ALL


def test_doctor_and_export_say_what_policies_do(gitlab: RealGitlab, database: tuple[str, Any]) -> None:
    name, db = database
    _policy(db, [{"branch_type": "all"}])
    settings = gitlab.settings(name, license="licensed")
    assert _said(settings) == [("ok", "forbid pushing in 1 projects, and are applied")]
    assert not any("allow_force_push" in warning for warning in _exported(settings)[1])
    blind = GitlabSettings(settings.databases, Storage(), rules=settings.rules)
    assert any("allow_force_push may differ" in warning for warning in _exported(blind)[1])


def test_policies_of_older_gitlabs_lie_in_files_and_that_is_said(gitlab: RealGitlab) -> None:
    with copied(gitlab.dsn, "old_policies") as name, psycopg.connect(gitlab.dsn(name), autocommit=True) as db:
        settings = gitlab.settings(name, license="licensed")
        db.execute(_OLD)
        assert _said(settings) == []
        db.execute(
            "INSERT INTO scan_result_policies VALUES (1, 1, '{\"prevent_pushing_and_force_pushing\": true}')"
        )
        assert [status for status, _ in _said(settings)] == ["warning"]
        warnings = _exported(settings)[1]
        assert any("allow_force_push is written as stored" in warning for warning in warnings)
        assert not any("allow_force_push" in warning for warning in _exported(settings, PATHS[1])[1])


def _said(settings: GitlabSettings) -> list[tuple[str, str]]:
    return [(check.status, check.message) for check in checks(settings) if check.name == "security policies"]


def test_patterns() -> None:
    assert matches("*", "release/*")
    assert matches("release/*-stable", "release/1.0-stable")
    assert not matches("release/*", "release")
    assert not matches("a.c", "abc")
    assert not matches(" ", " ")
