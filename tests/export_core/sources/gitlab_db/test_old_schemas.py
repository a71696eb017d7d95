"""Databases of older GitLabs: what they lack is left out and told, and the rest is exported as ever."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest

from export_core.sources.gitlab_db.checks import checks
from tests.export_core.sources.gitlab_db.comparison import check_project
from tests.export_core.sources.gitlab_db.conftest import RealGitlab
from tests.export_core.sources.gitlab_db.databases import SPLIT, copied
from tests.export_core.sources.gitlab_db.product_runs import Way, export
from tests.export_core.sources.gitlab_db.serialiser import lacking
from tests.export_core.sources.gitlab_db.surroundings import PATHS

_SINCE_18 = """
    merge_request_commits_metadata
    merge_request_diff_commits.merge_request_commits_metadata_id
    organization_push_rules
    namespaces.state
    project_repositories.object_format
    project_settings.duo_features_enabled
    projects.max_artifacts_size
    project_ci_cd_settings.id_token_sub_claim_components
    project_ci_cd_settings.delete_pipelines_in_seconds
    project_ci_cd_settings.display_pipeline_variables
    project_ci_cd_settings.resource_group_default_process_mode
"""
_SINCE_17 = """
    work_item_descriptions
    projects_branch_rules_squash_options
    vulnerability_reads
    vulnerability_occurrences.initial_pipeline_id
    vulnerability_occurrences.latest_pipeline_id
    epics.imported_from
    notes.imported_from
    members.member_role_id
    merge_request_diff_files.encoded_file_path
    issues.health_status
    group_merge_request_approval_settings
"""
_SINCE_16 = """
    ci_pipeline_metadata
    iterations_cadences
    protected_branch_push_access_levels.deploy_key_id
    approval_project_rules.report_type
    projects.project_namespace_id
    projects.marked_for_deletion_at
    issues.namespace_id
    issues.work_item_type_id
    merge_request_diffs.external_diff_store
    merge_request_diffs.diff_type
    project_settings.merge_commit_template
    project_settings.squash_commit_template
    application_settings.default_branch_name
    push_rules.is_sample
    notes.discussion_id
    merge_request_diff_files.new_path
    merge_requests.merge_params
    releases.name
    suggestions.outdated
"""
_CI = ("p_ci_builds", "p_ci_pipelines", "p_ci_stages")
_INTEGERS = {
    "issues": ["id", "milestone_id"],
    "notes": ["id", "noteable_id"],
    "events": ["id"],
    "labels": ["id"],
    "merge_requests": ["id"],
}
"""Keys that were integers before they became bigints."""


def _drop(db: Any, names: str) -> None:
    for name in names.split():
        table, _, column = name.partition(".")
        db.execute(f"ALTER TABLE {table} DROP COLUMN {column}" if column else f"DROP TABLE {table}")


def _unpartition(db: Any, *, with_partition_id: bool) -> None:
    for table in _CI:
        old = table.removeprefix("p_")
        db.execute(f"CREATE TABLE {old} AS SELECT * FROM {table}")
        db.execute(f"DROP TABLE {table}")
        if not with_partition_id:
            db.execute(f"ALTER TABLE {old} DROP COLUMN partition_id")


def _as_gitlab_17(db: Any) -> None:
    _drop(db, _SINCE_18)


def _as_gitlab_16(db: Any) -> None:
    _drop(db, _SINCE_18 + _SINCE_17)
    _unpartition(db, with_partition_id=True)


def _as_gitlab_15(db: Any) -> None:
    _drop(db, _SINCE_18 + _SINCE_17 + _SINCE_16)
    # Without partitions there are no two rows of the same pipeline's number.
    db.execute("DELETE FROM p_ci_stages s USING p_ci_pipelines p"
               " WHERE p.id = s.pipeline_id AND p.partition_id <> s.partition_id")  # fmt: skip
    _unpartition(db, with_partition_id=False)
    for table, columns in _INTEGERS.items():
        changes = ", ".join(f"ALTER COLUMN {column} TYPE integer" for column in columns)
        db.execute(f"ALTER TABLE {table} {changes}")


VERSIONS = {"gitlab_17": _as_gitlab_17, "gitlab_16": _as_gitlab_16, "gitlab_15": _as_gitlab_15}


@pytest.mark.parametrize("version", VERSIONS)
def test_an_older_gitlab(gitlab: RealGitlab, version: str) -> None:
    with copied(gitlab.dsn, version) as name:
        with psycopg.connect(gitlab.dsn(name)) as db:
            VERSIONS[version](db)
        tables = gitlab.tables(name)
        for way in (Way(), Way(rows=2, pruned=False)):
            exported = export(gitlab.settings(name, license="licensed"), PATHS[0], way)
            expected = gitlab.serialiser(tables, PATHS[0], license="licensed")
            assert check_project(exported, expected, gitlab.facts.relations) == []
        assert set(exported.missing) == lacking(gitlab.facts, tables)
        assert len(exported.missing) == len(set(exported.missing))
        _check_doctor(gitlab, name, len(exported.missing))
        first = exported.missing[0]
        assert any(first in warning and "does not have" in warning for warning in exported.warnings)


def _check_doctor(gitlab: RealGitlab, name: str, missing: int) -> None:
    """It says the same, and that the tables it has may be read."""
    found = {check.name: check for check in checks(gitlab.settings(name, license="licensed"))}
    assert found["schema"].status == "warning"
    assert found["schema"].message.startswith(f"{missing} missing: ")
    assert found["database main: privileges"].status == "ok"


def test_nothing_is_missing_from_gitlab_18_9(gitlab: RealGitlab) -> None:
    exported = export(gitlab.settings(), PATHS[0])
    assert exported.missing == []
    assert exported.warnings == []


def test_pipelines_that_another_database_does_not_have(gitlab: RealGitlab) -> None:
    main, ci, sec = SPLIT
    with copied(gitlab.dsn, "lacking_ci", ci) as lacking_ci:
        with psycopg.connect(gitlab.dsn(lacking_ci)) as db:
            db.execute("DROP TABLE p_ci_pipelines CASCADE")
        names = (main, lacking_ci, sec)
        exported = export(gitlab.settings(*names), PATHS[0])
        expected = gitlab.serialiser(gitlab.tables(*names), PATHS[0])
        assert check_project(exported, expected, gitlab.facts.relations) == []
        assert set(exported.missing) == lacking(gitlab.facts, gitlab.tables(*names))
    assert exported.text("ci_pipelines") is None
    assert "ci_pipelines: this database has no table p_ci_pipelines" in exported.warnings
    assert not re.search(rb'"(initial|latest)_finding_pipeline"', exported.text("vulnerabilities") or b"")


def test_a_column_that_another_database_does_not_have(gitlab: RealGitlab) -> None:
    main, ci, sec = SPLIT
    with copied(gitlab.dsn, "narrow_main", main) as narrow:
        with psycopg.connect(gitlab.dsn(narrow)) as db:
            db.execute("ALTER TABLE merge_requests DROP COLUMN allow_maintainer_to_push")
        names = (narrow, ci, sec)
        exported = export(gitlab.settings(*names), PATHS[0])
        tables = gitlab.tables(*names)
        assert check_project(exported, gitlab.serialiser(tables, PATHS[0]), gitlab.facts.relations) == []
        assert set(exported.missing) == lacking(gitlab.facts, tables)
    assert "ci_pipelines.merge_request.allow_maintainer_to_push" in exported.missing
