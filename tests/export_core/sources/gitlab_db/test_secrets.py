"""Secrets stay home: planted in every column that no export may read, they are found in no line."""

from __future__ import annotations

import json
import re
from typing import Any

import psycopg
import pytest

from export_core.source import Selection
from export_core.sources.gitlab_db.planning import FILE_RELATIONS
from export_core.sources.gitlab_db.source import GitlabSource
from tests.export_core.sources.gitlab_db.conftest import RealGitlab
from tests.export_core.sources.gitlab_db.databases import BASE, SPLIT
from tests.export_core.sources.gitlab_db.product_runs import export
from tests.export_core.sources.gitlab_db.surroundings import PATHS
from tests.export_core.sources.gitlab_db.values import can_hold_secret

_PLANTED = re.compile(rb"S3[0-9]{4}x|5333(3[0-9]){4}78")
"""As text, and as the hexadecimal digits of its bytes."""
_NAMES = re.compile(
    r"token|passw|encrypt|secret|_html|otp_|salt|_iv$|credential|import_url|private|runners|email"
    r"|api_key|ssh|yaml_variables|options|checksum|_key$|sign_in_ip"
)
_EXPORTED = {
    ("epics", "title_html"),
    ("epics", "description_html"),
    ("users", "public_email"),
    ("members", "invite_email"),
    ("merge_request_diff_commit_users", "email"),
    ("service_desk_settings", "issue_template_key"),
    ("service_desk_settings", "project_key"),
    ("push_rules", "author_email_regex"),
    ("project_ci_cd_settings", "id_token_sub_claim_components"),
    ("uploads", "secret"),
}
"""Columns with such names that the facts list among the exported ones, and the secret of an upload's path."""
_NOT_MADE = {"project_uploads", "uploads_9ba88c4165"}


def test_every_column_of_a_secret_kind_holds_one(gitlab: RealGitlab) -> None:
    """So that finding none means something."""
    wanted = {
        (table, column.name)
        for table, columns in gitlab.facts.tables.items()
        for column in columns
        if _NAMES.search(column.name) and can_hold_secret(column) and table not in _NOT_MADE
    }
    planted = set(gitlab.world.secrets.columns)
    assert wanted - planted == _EXPORTED
    assert len(planted) > 200
    with psycopg.connect(gitlab.dsn(BASE)) as db:
        for table, column in sorted(planted):
            query = f'SELECT count(*) FROM {table} WHERE to_json("{column}")::text ~ %s'
            found = db.execute(query, (r"S3[0-9]{4}x|5333(3[0-9]){4}78",)).fetchone()
            assert found is not None
            assert found[0] > 0, f"{table}.{column}"


@pytest.mark.parametrize("names", [(BASE,), SPLIT], ids=["one database", "three databases"])
@pytest.mark.parametrize("license", ["ce", "free", "licensed"])
def test_no_planted_secret_is_exported(gitlab: RealGitlab, names: tuple[str, ...], license: str) -> None:
    for path in PATHS:
        exported = export(gitlab.settings(*names, license=license), path)
        for relation, text in exported.members.items():
            assert _PLANTED.search(text) is None, relation
        assert _PLANTED.search(json.dumps([exported.warnings, exported.missing]).encode()) is None


def test_no_planted_secret_is_in_the_plan_or_the_token(gitlab: RealGitlab) -> None:
    """They are kept in the job store and printed by ``show``."""
    snapshot = GitlabSource("test", gitlab.settings()).open(PATHS[0], {})
    plan = snapshot.plan(Selection(skip=FILE_RELATIONS))
    told: list[Any] = [snapshot.token, dict(snapshot.details), [dict(part.payload) for part in plan.parts]]
    snapshot.close()
    assert _PLANTED.search(json.dumps(told).encode()) is None
