"""What depends on the edition, the licence, gitlab.yml, and on who exports."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from export_core.errors import UsageError
from export_core.source import Selection
from export_core.sources.gitlab_db.settings import GitlabSettings
from export_core.sources.gitlab_db.source import GitlabSource
from tests.export_core.sources.gitlab_db.comparison import check_lines, check_object, check_project
from tests.export_core.sources.gitlab_db.conftest import RealGitlab
from tests.export_core.sources.gitlab_db.databases import copied
from tests.export_core.sources.gitlab_db.product_runs import Collected, export
from tests.export_core.sources.gitlab_db.surroundings import GROUP, PATHS

CONFIGURATIONS: list[dict[str, Any]] = [
    {"license": "free"},
    {"license": "licensed"},
    {"license": "licensed", "pages_https": True, "container_registry": False},
    {"drop_commit_messages": True},
]


@pytest.mark.parametrize("path", PATHS[:2])
@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=str)
def test_every_line_by_licence_and_configuration(
    gitlab: RealGitlab, path: str, configuration: dict[str, Any]
) -> None:
    exported = export(gitlab.settings(**configuration), path)
    expected = gitlab.serialiser(gitlab.tables(), path, **configuration)
    assert check_project(exported, expected, gitlab.facts.relations) == []


def test_an_unlicensed_gitlab_exports_no_push_rule_and_no_board_milestone(gitlab: RealGitlab) -> None:
    exported = export(gitlab.settings(license="free"), PATHS[0])
    assert exported.text("push_rule") == b"null"
    assert b'"milestone":{"title":"Any Milestone"' not in (exported.text("boards") or b"")
    licensed = export(gitlab.settings(license="licensed"), PATHS[0])
    assert (licensed.text("push_rule") or b"").startswith(b"{")
    assert b'"milestone":{"title":"Any Milestone"' in (licensed.text("boards") or b"")


_PROJECT = (
    "reset_approvals_on_push disable_overriding_approvers_per_merge_request merge_requests_author_approval"
    " merge_requests_disable_committers_approval require_password_to_approve pages_https_only"
    " autoclose_referenced_issues"
).split()
_INSTANCE = (
    "disable_overriding_approvers_per_merge_request prevent_merge_requests_author_approval"
    " prevent_merge_requests_committers_approval password_authentication_enabled_for_web"
).split()
_GROUP = (
    "allow_author_approval allow_committer_approval allow_overrides_to_approver_list_per_merge_request"
    " retain_approvals_on_push require_password_to_approve"
).split()


def test_project_settings_under_every_combination_of_group_and_instance(gitlab: RealGitlab) -> None:
    """Three-valued columns of the project, two-valued ones of instance and group, and a group without any."""
    with copied(gitlab.dsn, "combined") as name, psycopg.connect(gitlab.dsn(name), autocommit=True) as db:
        for own in (True, False, None):
            for above in (True, False, None):
                _set(db, "projects", _PROJECT, own, "id = 1")
                _set(db, "application_settings", _INSTANCE, bool(above), "id = 2")
                if above is None:
                    db.execute("DELETE FROM group_merge_request_approval_settings")
                else:
                    _set(
                        db, "group_merge_request_approval_settings", _GROUP, not above, f"group_id = {GROUP}"
                    )
                _compare_roots(gitlab, name, ["licensed"] if above else ["ce", "free", "licensed"])
            db.execute(
                "INSERT INTO group_merge_request_approval_settings (created_at, updated_at, group_id)"
                f" VALUES (now(), now(), {GROUP})"
            )


def _set(db: Any, table: str, columns: list[str], value: bool | None, where: str) -> None:
    changes = ", ".join(f"{column} = %(value)s" for column in columns)
    db.execute(f"UPDATE {table} SET {changes} WHERE {where}", {"value": value})


def _compare_roots(gitlab: RealGitlab, name: str, licenses: list[str]) -> None:
    for license in licenses:
        settings = gitlab.settings(name, license=license, pages_https=True)
        source = GitlabSource("test", settings)
        snapshot = source.open(PATHS[0], {})
        reader, sink = source.reader(snapshot.token), Collected()
        reader.read(snapshot.plan(Selection(only=("project",))).parts[0], sink)
        reader.close()
        snapshot.close()
        expected = gitlab.serialiser(gitlab.tables(name), PATHS[0], license=license, pages_https=True)
        assert check_object("project", bytes(sink.data), expected.root()) == []


@pytest.mark.parametrize("user", [None, "user8", "user9", "user2", "user1"])
def test_who_sees_inherited_members(gitlab: RealGitlab, user: str | None) -> None:
    """Number 8 is an administrator, 9 and 1 own the group above, 2 does not."""
    options = {} if user is None else {"as_user": user}
    exported = export(gitlab.settings(), PATHS[0], options=options)
    expected: Any = gitlab.serialiser(gitlab.tables(), PATHS[0], as_user=user).relation("project_members")
    assert check_lines("project_members", exported.text("project_members"), expected) == []
    assert (len(expected) > 2) == (user != "user2")


def test_members_are_chosen_as_the_facts_say(gitlab: RealGitlab) -> None:
    """By hand: user 1 and an invitation of the project; 2, 3, 6 and 9 of the groups, each once."""
    text = export(gitlab.settings(), PATHS[0]).text("project_members") or b""
    rows = [json.loads(line) for line in text.splitlines()]
    assert [(row["user_id"], row["access_level"]) for row in rows[2:]] == [(2, 40), (3, 30), (6, 30), (9, 50)]
    assert {row["source_type"] for row in rows} == {"Project"}
    assert (rows[0]["user_id"], rows[1]["invite_email"]) == (1, "invited@example.com")
    assert rows[4]["expires_at"] == "2031-01-01"


def test_an_unknown_user_is_a_usage_error(gitlab: RealGitlab) -> None:
    with pytest.raises(UsageError, match="nobody"):
        export(gitlab.settings(), PATHS[0], options={"as_user": "nobody"})


def test_an_unknown_user_is_one_where_no_group_is_asked(gitlab: RealGitlab) -> None:
    with pytest.raises(UsageError, match="nobody"):
        export(gitlab.settings(), PATHS[2], options={"as_user": "nobody"})


def test_what_a_user_may_not_read_is_exported_and_told(gitlab: RealGitlab) -> None:
    """GitLab would leave out system notes and epics by its policies; they are counted here by hand."""
    with copied(gitlab.dsn, "readers") as name, psycopg.connect(gitlab.dsn(name), autocommit=True) as db:
        db.execute(
            "DELETE FROM system_note_metadata; DELETE FROM epic_issues; UPDATE notes SET system = false"
        )
        settings = gitlab.settings(name)
        assert _told(settings, "user2") == []
        notes = "SELECT id FROM notes WHERE project_id = 1 AND noteable_type = 'Issue' ORDER BY id LIMIT 3"
        ids = [row[0] for row in db.execute(notes)]
        db.execute("UPDATE notes SET system = true WHERE id = ANY(%s)", (ids,))
        db.execute("UPDATE notes SET note = 'mentioned in group/other#1' WHERE id = %s", (ids[0],))
        for id, action in zip(ids[1:], ("relate", "title"), strict=True):
            db.execute(
                "INSERT INTO system_note_metadata (note_id, action, created_at, updated_at)"
                " VALUES (%s, %s, now(), now())",
                (id, action),
            )
        assert [text.split(":")[0] for text in _told(settings, "user2")] == [
            "2 system notes name other records"
        ]
        assert _told(settings, "user8") == [], "an administrator reads all"
        assert _told(settings, None) == []


def _told(settings: GitlabSettings, user: str | None) -> list[str]:
    snapshot = GitlabSource("test", settings).open(PATHS[0], {} if user is None else {"as_user": user})
    try:
        warnings = snapshot.plan(Selection(only=("issues", "merge_requests"))).warnings
    finally:
        snapshot.close()
    return [warning for warning in warnings if "may not read" in warning]


@pytest.mark.parametrize("text", ["short", "100 %s, 'quoted' \\ {t} t0.runners_token \u2028 ü\n", None])
def test_another_description(gitlab: RealGitlab, text: str | None) -> None:
    """For this export alone: the second reader knows it from the token, as one on another machine would."""
    source = GitlabSource("test", gitlab.settings())
    snapshot = source.open(PATHS[0], {} if text is None else {"description": text})
    plan = snapshot.plan(Selection(only=("project",)))
    token = json.loads(snapshot.token)
    own = gitlab.serialiser(gitlab.tables(), PATHS[0]).root()["description"]
    for name in (token["name"], ""):
        reader, sink = source.reader(json.dumps({**token, "name": name})), Collected()
        reader.read(plan.parts[0], sink)
        reader.close()
        assert json.loads(sink.data)["description"] == (own if text is None else text)
    snapshot.close()
