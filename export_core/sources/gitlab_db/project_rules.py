"""Attributes of ``tree/project.json`` that depend on more than their column.

Source: GitLab 18.9, ``Projects::ImportExport::ProjectExportPresenter`` and the approval settings resolver of
EE. Without a licence some values are constant; with one, instance and root group may overrule the project.
"""

from __future__ import annotations

from collections.abc import Mapping

from export_core.sources.gitlab_db.renderings import Renderer, Rule

_GROUP_SETTINGS = "group_merge_request_approval_settings"


def _instance(r: Renderer, column: str) -> str:
    """The newest row of the instance's settings; NULL where there is none."""
    if not r.catalog.has("application_settings", column):
        return "NULL"
    return f"(SELECT a.{column} FROM application_settings a ORDER BY a.id DESC LIMIT 1)"


def _root_group(r: Renderer, column: str, t: str) -> str:
    """A setting of the project's topmost group; NULL where there is none."""
    if not (r.catalog.has(_GROUP_SETTINGS, column) and r.catalog.has("namespaces", "traversal_ids")):
        return "NULL::boolean"
    return (
        f"(SELECT g.{column} FROM {_GROUP_SETTINGS} g JOIN namespaces n ON g.group_id = n.traversal_ids[1]"
        f" WHERE n.id = {t}.namespace_id)"
    )


def _approval(column: str, instance: str | None, group: str, *, negated: bool) -> Rule:
    """All of instance, root group and project must allow it; what is not set allows."""

    def rule(r: Renderer, t: str) -> str | None:
        plain = r.column("projects", column, t)
        if plain is None or r.rules.license == "ce":
            return plain
        own = f"NOT {t}.{column}" if negated else f"{t}.{column}"
        instance_allows = "true" if instance is None else f"NOT {_instance(r, instance)}"
        allowed = " AND ".join(
            f"coalesce({condition}, true)" for condition in (instance_allows, _root_group(r, group, t), own)
        )
        return f"(NOT ({allowed}))::text" if negated else f"({allowed})::text"

    return rule


def _reset_approvals_on_push(r: Renderer, t: str) -> str | None:
    plain = r.column("projects", "reset_approvals_on_push", t)
    if plain is None or r.rules.license == "ce":
        return plain
    if r.rules.license == "free":
        return "'false'::text"
    retained = f"coalesce({_root_group(r, 'retain_approvals_on_push', t)}, true)"
    return f"(NOT ({retained} AND NOT coalesce({t}.reset_approvals_on_push, false)))::text"


def _require_password(r: Renderer, t: str) -> str | None:
    plain = r.column("projects", "require_password_to_approve", t)
    if plain is None or r.rules.license == "ce":
        return plain
    group = _root_group(r, "require_password_to_approve", t)
    required = f"(coalesce({group}, false) OR coalesce({t}.require_password_to_approve, false))"
    sign_in = f"coalesce({_instance(r, 'password_authentication_enabled_for_web')}, true)"
    return f"({required} AND {sign_in})::text"


def _archived(r: Renderer, t: str) -> str | None:
    """A project that waits for its deletion counts as not archived."""
    if not r.catalog.has("projects", "archived"):
        return None
    scheduled = ["false"]
    if r.catalog.has("projects", "marked_for_deletion_at"):
        scheduled.append(f"{t}.marked_for_deletion_at IS NOT NULL")
    if r.catalog.has("namespaces", "state") and r.catalog.has("projects", "project_namespace_id"):
        scheduled.append(
            f"coalesce((SELECT n.state = 2 FROM namespaces n WHERE n.id = {t}.project_namespace_id), false)"
        )
    return f"({t}.archived AND NOT ({' OR '.join(scheduled)}))::text"


def _approvals_before_merge(r: Renderer, t: str) -> str | None:
    plain = r.column("projects", "approvals_before_merge", t)
    return "'0'::text" if plain is not None and r.rules.license == "free" else plain


def _classification_label(r: Renderer, t: str) -> str | None:
    column = "external_authorization_classification_label"
    instance = _instance(r, "external_authorization_service_default_label")
    return r.default("projects", column, t, f"to_json({instance}::text)::text")


def _pages_https_only(r: Renderer, t: str) -> str | None:
    plain = r.column("projects", "pages_https_only", t)
    return plain if r.rules.pages_https or plain is None else "'false'::text"


def _autoclose(r: Renderer, t: str) -> str | None:
    return r.default("projects", "autoclose_referenced_issues", t, "'true'")


PROJECT_RULES: Mapping[str, Rule] = {
    "archived": _archived,
    "approvals_before_merge": _approvals_before_merge,
    "reset_approvals_on_push": _reset_approvals_on_push,
    "disable_overriding_approvers_per_merge_request": _approval(
        "disable_overriding_approvers_per_merge_request",
        "disable_overriding_approvers_per_merge_request",
        "allow_overrides_to_approver_list_per_merge_request",
        negated=True,
    ),
    "merge_requests_author_approval": _approval(
        "merge_requests_author_approval",
        "prevent_merge_requests_author_approval",
        "allow_author_approval",
        negated=False,
    ),
    "merge_requests_disable_committers_approval": _approval(
        "merge_requests_disable_committers_approval",
        "prevent_merge_requests_committers_approval",
        "allow_committer_approval",
        negated=True,
    ),
    "require_password_to_approve": _require_password,
    "external_authorization_classification_label": _classification_label,
    "pages_https_only": _pages_https_only,
    "autoclose_referenced_issues": _autoclose,
}
