"""What relations.json says under ``how``, attribute by attribute, in plain Python."""

from __future__ import annotations

import base64
import re
from typing import Any

from tests.export_core.sources.gitlab_db import ruby_documents
from tests.export_core.sources.gitlab_db.approximations import AnyHexOf40, Approximately
from tests.export_core.sources.gitlab_db.plain_tables import Row
from tests.export_core.sources.gitlab_db.serialiser import Context, Rule, enum_word, timestamp


def _or(name: str, default: Any) -> Rule:
    return lambda row, _: default if row[name] is None else row[name]


def _free(name: str, value: Any) -> Rule:
    return lambda row, context: value if context.license == "free" else row[name]


def _weight(row: Row, context: Context) -> Any:
    kind = context.tables.one("work_item_types", "id", row.get("work_item_type_id")) or {}
    weightless = kind.get("base_type") == 1 or context.license == "free"
    return None if weightless and context.license != "ce" else row["weight"]


def _setting(name: str) -> Rule:
    def rule(row: Row, context: Context) -> Any:
        settings = context.tables.one("project_settings", "project_id", row["id"])
        return None if settings is None else settings[name]

    return rule


def _squash_option(row: Row, context: Context) -> Any:
    settings = context.tables.one("project_settings", "project_id", row["id"])
    return (
        "default_off"
        if settings is None
        else enum_word(context.facts, "squash_option", settings["squash_option"])
    )


def _instance(context: Context) -> Row:
    return max(context.tables.rows("application_settings"), key=lambda row: row["id"])


def _group(row: Row, context: Context) -> Row:
    namespace = context.tables.one("namespaces", "id", row["namespace_id"])
    roots = (namespace or {}).get("traversal_ids") or [None]
    return context.tables.one("group_merge_request_approval_settings", "group_id", roots[0]) or {}


def _all_set(*values: bool | None) -> bool:
    return all(value for value in values if value is not None)


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


def _archived(row: Row, context: Context) -> bool:
    own = context.tables.one("namespaces", "id", row.get("project_namespace_id")) or {}
    scheduled = row.get("marked_for_deletion_at") is not None or own.get("state") == 2
    return bool(row["archived"] and not scheduled)


def _reset_approvals(row: Row, context: Context) -> Any:
    if context.license != "licensed":
        return row["reset_approvals_on_push"] if context.license == "ce" else False
    retained = _group(row, context).get("retain_approvals_on_push")
    return not _all_set(retained, not row["reset_approvals_on_push"])


def _overriding(row: Row, context: Context) -> Any:
    name = "disable_overriding_approvers_per_merge_request"
    if context.license == "ce":
        return row[name]
    group = _group(row, context).get("allow_overrides_to_approver_list_per_merge_request")
    return not _all_set(_not(_instance(context)[name]), group, _not(row[name]))


def _author_approval(row: Row, context: Context) -> Any:
    if context.license == "ce":
        return row["merge_requests_author_approval"]
    instance = _not(_instance(context)["prevent_merge_requests_author_approval"])
    return _all_set(
        instance, _group(row, context).get("allow_author_approval"), row["merge_requests_author_approval"]
    )


def _committers_approval(row: Row, context: Context) -> Any:
    name = "merge_requests_disable_committers_approval"
    if context.license == "ce":
        return row[name]
    instance = _not(_instance(context)["prevent_merge_requests_committers_approval"])
    return not _all_set(instance, _group(row, context).get("allow_committer_approval"), _not(row[name]))


def _password(row: Row, context: Context) -> Any:
    if context.license == "ce":
        return row["require_password_to_approve"]
    wanted = _group(row, context).get("require_password_to_approve") or row["require_password_to_approve"]
    return bool(wanted and _instance(context)["password_authentication_enabled_for_web"])


def _classification(row: Row, context: Context) -> Any:
    own = row["external_authorization_classification_label"]
    return _instance(context)["external_authorization_service_default_label"] if own is None else own


def _default_branch(row: Row, context: Context) -> Any:
    if context.head:
        return context.head
    namespace = context.tables.one("namespaces", "id", row["namespace_id"]) or {"traversal_ids": []}
    for id in (row["namespace_id"], *namespace["traversal_ids"][:1]):
        settings = context.tables.one("namespace_settings", "namespace_id", id)
        if settings and settings["default_branch_name"]:
            return settings["default_branch_name"]
    return _instance(context).get("default_branch_name")


def _text_color(row: Row, _: Context) -> str:
    color = "#6699cc" if row["color"] is None else row["color"]
    if not re.fullmatch("#([0-9a-fA-F]{3}){1,2}", color):
        return "#FFFFFF"
    digits = color[1:] if len(color) == 7 else re.sub("(.)", r"\1\1", color[1:])
    own = _luminance([int(digits[place : place + 2], 16) for place in (0, 2, 4)])
    on_white = 1.05 / (own + 0.05)
    return (
        "#FFFFFF"
        if on_white >= 2.4 or on_white > (own + 0.05) / (_luminance([31, 30, 36]) + 0.05)
        else "#1F1E24"
    )


def _luminance(channels: list[int]) -> float:
    shares = [channel / 255 for channel in channels]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _event_target(row: Row, _: Context) -> Any:
    of_project = row["project_id"] is not None and row["action"] in (1, 5, 8, 9, 11)
    return "Project" if row["target_type"] is None and of_project else row["target_type"]


def _position(name: str) -> Rule:
    def rule(row: Row, _: Context) -> Any:
        text = row[name]
        return ruby_documents.POSITIONS[text] if row["type"] == "DiffNote" and text is not None else text

    return rule


def _st_diff(row: Row, _: Context) -> Any:
    text = row["st_diff"]
    return ruby_documents.LEGACY_DIFFS[text] if row["type"] == "LegacyDiffNote" and text is not None else text


def _discussion(row: Row, _: Context) -> Any:
    stored = row["discussion_id"]
    return stored if stored and stored.strip() else AnyHexOf40()


def _merge_params(row: Row, _: Context) -> Any:
    return {} if row["merge_params"] is None else ruby_documents.MERGE_PARAMS[row["merge_params"]]


def _branch_sha(project: str, branch: str) -> Rule:
    return lambda row, context: context.branches.get((row[project], row[branch]))


def _exported_diff(row: Row, context: Context) -> Row | None:
    diffs = context.tables.where("merge_request_diffs", "merge_request_id", row["id"])
    regular = [diff for diff in diffs if diff.get("diff_type", 1) == 1]
    return max(regular, key=lambda diff: diff["id"]) if regular else None


def _diff_head(row: Row, context: Context) -> Any:
    diff = _exported_diff(row, context)
    if diff is None:
        return _branch_sha("source_project_id", "source_branch")(row, context)
    return _head_commit(diff, context)


def _head_commit(row: Row, context: Context) -> Any:
    if row["head_commit_sha"] is not None:
        return row["head_commit_sha"]
    commits = context.tables.where("merge_request_diff_commits", "merge_request_diff_id", row["id"])
    if not commits:
        return None
    first = min(commits, key=lambda commit: commit["relative_order"])
    moved = _moved(first, context)
    sha = first["sha"] if moved is None else moved["sha"]
    return None if sha is None else sha.hex()


def _moved(row: Row, context: Context) -> Row | None:
    id = row.get("merge_request_commits_metadata_id")
    found = context.tables.where("merge_request_commits_metadata", "id", id)
    return next((moved for moved in found if moved["project_id"] == context.project["id"]), None)


def _files_count(row: Row, context: Context) -> Any:
    if row["files_count"] not in (None, 32767):
        return row["files_count"]
    return len(context.tables.where("merge_request_diff_files", "merge_request_diff_id", row["id"]))


def _moved_value(name: str) -> Rule:
    """The serialiser has put the values of the linked row into the commit's."""

    def rule(row: Row, context: Context) -> Any:
        value = row[name]
        if name == "message":
            return "" if context.drop_commit_messages else value
        if name == "sha":
            return None if value is None else value.hex()
        return timestamp(value)

    return rule


def _new_path(row: Row, _: Context) -> Any:
    return row["new_path"] if row["new_path"] and row["new_path"].strip() else row["old_path"]


def _utf8_diff(row: Row, context: Context) -> Any:
    diff = context.tables.where("merge_request_diffs", "id", row["merge_request_diff_id"])[0]
    raw = (row["diff"] or "").encode()
    if diff.get("stored_externally"):
        start, size = row["external_diff_offset"] or 0, row["external_diff_size"] or 0
        raw = context.diff_files[diff["merge_request_id"], diff["id"]][start : start + size]
    if row["binary"]:
        raw = _from_strict_base64(raw)
    if not raw.strip():
        return ""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return Approximately(raw)


def _from_strict_base64(raw: bytes) -> bytes:
    if not re.fullmatch(rb"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", raw):
        return raw
    decoded = base64.b64decode(raw)
    return decoded if base64.b64encode(decoded) == raw else raw


def _before_sha(row: Row, context: Context) -> Any:
    if row["before_sha"] is not None:
        return row["before_sha"]
    repository = context.tables.one("project_repositories", "project_id", row["project_id"]) or {}
    return "0" * (64 if repository.get("object_format") == 1 else 40)


def _feature(name: str) -> Rule:
    default = 10 if name.startswith(("metrics_dashboard", "security_and_compliance")) else 20

    def rule(row: Row, context: Context) -> Any:
        registry = name.startswith(("package_registry", "container_registry"))
        return _or(name, 0 if registry and not context.container_registry else default)(row, context)

    return rule


def _slug(name: str, group: int) -> Rule:
    def rule(row: Row, _: Context) -> Any:
        found = re.search("/api/0/projects/([^/]+)/([^/]+)", row["api_url"] or "")
        if row[name] is not None or found is None:
            return row[name]
        return " ".join(word.capitalize() for word in re.split("[-_]+", found[group]))

    return rule


def _push_rule(name: str) -> Rule:
    def rule(row: Row, context: Context) -> Any:
        organization = context.tables.one(
            "organization_push_rules", "organization_id", context.project["organization_id"]
        )
        samples = [sample for sample in context.tables.rows("push_rules") if sample.get("is_sample")]
        wide = [organization] if organization else []
        values = [source[name] for source in (row, *wide, *samples)]
        return next((value for value in values if value is not None), None)

    return rule


def _branch_name(row: Row, context: Context) -> Any:
    branch = context.tables.one("protected_branches", "id", row["protected_branch_id"])
    return None if branch is None else branch["name"]


def _last_edited(row: Row, _: Context) -> Any:
    return timestamp(row["updated_at"] if row["last_edited_at"] is None else row["last_edited_at"])


def _state(row: Row, context: Context) -> Any:
    return enum_word(context.facts, "issuable_state", row["state_id"])


def _plain(name: str) -> Rule:
    return lambda row, _: row[name]


_FEATURES = (
    "merge_requests issues wiki snippets builds repository pages forking metrics_dashboard requirements"
    " operations analytics security_and_compliance container_registry package_registry monitor infrastructure"
    " feature_flags environments releases model_experiments model_registry"
)

RULES: dict[tuple[str, str], Rule] = {
    ("projects", "description"): _plain("description"),
    ("projects", "archived"): _archived,
    ("projects", "approvals_before_merge"): _free("approvals_before_merge", 0),
    ("projects", "reset_approvals_on_push"): _reset_approvals,
    ("projects", "disable_overriding_approvers_per_merge_request"): _overriding,
    ("projects", "external_authorization_classification_label"): _classification,
    ("projects", "pages_https_only"): lambda row, context: context.pages_https and row["pages_https_only"],
    ("projects", "merge_requests_author_approval"): _author_approval,
    ("projects", "merge_requests_disable_committers_approval"): _committers_approval,
    ("projects", "require_password_to_approve"): _password,
    ("projects", "autoclose_referenced_issues"): _or("autoclose_referenced_issues", True),
    ("projects", "allow_merge_on_skipped_pipeline"): _setting("allow_merge_on_skipped_pipeline"),
    ("projects", "default_branch"): _default_branch,
    ("projects", "squash_option"): _squash_option,
    ("projects", "merge_commit_template"): _setting("merge_commit_template"),
    ("projects", "squash_commit_template"): _setting("squash_commit_template"),
    ("labels", "color"): _or("color", "#6699cc"),
    ("labels", "type"): _plain("type"),
    ("labels", "textColor"): _text_color,
    ("events", "target_type"): _event_target,
    ("issues", "weight"): _weight,
    ("issues", "time_estimate"): _or("time_estimate", 0),
    ("issues", "state"): _state,
    ("notes", "st_diff"): _st_diff,
    ("notes", "type"): _plain("type"),
    ("notes", "position"): _position("position"),
    ("notes", "original_position"): _position("original_position"),
    ("notes", "change_position"): _position("change_position"),
    ("notes", "discussion_id"): _discussion,
    ("notes", "last_edited_at"): _last_edited,
    ("epics", "color"): _or("color", "#1068bf"),
    ("snippets", "file_name"): _or("file_name", ""),
    ("releases", "name"): lambda row, _: row["tag"] if row["name"] is None else row["name"],
    ("members", "source_type"): lambda _, __: "Project",
    ("merge_requests", "merge_params"): _merge_params,
    ("merge_requests", "approvals_before_merge"): _free("approvals_before_merge", None),
    ("merge_requests", "time_estimate"): _or("time_estimate", 0),
    ("merge_requests", "diff_head_sha"): _diff_head,
    ("merge_requests", "source_branch_sha"): _branch_sha("source_project_id", "source_branch"),
    ("merge_requests", "target_branch_sha"): _branch_sha("target_project_id", "target_branch"),
    ("merge_requests", "state"): _state,
    ("note_diff_files", "diff_export"): _plain("diff"),
    ("merge_request_diffs", "head_commit_sha"): _head_commit,
    ("merge_request_diffs", "files_count"): _files_count,
    ("merge_request_diff_commits", "authored_date"): _moved_value("authored_date"),
    ("merge_request_diff_commits", "committed_date"): _moved_value("committed_date"),
    ("merge_request_diff_commits", "sha"): _moved_value("sha"),
    ("merge_request_diff_commits", "message"): _moved_value("message"),
    ("merge_request_diff_files", "new_path"): _new_path,
    ("merge_request_diff_files", "utf8_diff"): _utf8_diff,
    ("p_ci_pipelines", "before_sha"): _before_sha,
    ("protected_branches", "code_owner_approval_required"): _free("code_owner_approval_required", False),
    ("protected_branches", "allow_force_push"): _plain("allow_force_push"),
    ("badges", "type"): _plain("type"),
    ("project_error_tracking_settings", "project_name"): _slug("project_name", 2),
    ("project_error_tracking_settings", "organization_name"): _slug("organization_name", 1),
    ("push_rules", "reject_unsigned_commits"): _push_rule("reject_unsigned_commits"),
    ("push_rules", "commit_committer_check"): _push_rule("commit_committer_check"),
    ("push_rules", "regexp_uses_re2"): lambda _, __: True,
    ("push_rules", "reject_non_dco_commits"): _push_rule("reject_non_dco_commits"),
    ("approval_project_rules_protected_branches", "branch_name"): _branch_name,
} | {
    ("project_features", f"{feature}_access_level"): _feature(f"{feature}_access_level")
    for feature in _FEATURES.split()
}
