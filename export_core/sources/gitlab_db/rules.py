"""The exceptions: attributes that are more, or other, than their column.

Source: GitLab 18.9's models, presenters and serialisers. Each rule is named by ``table.attribute``; every
rule returns None when the database lacks the column it needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from export_core.gitlab.tree import relations
from export_core.sources.gitlab_db import push_policies
from export_core.sources.gitlab_db.project_rules import PROJECT_RULES
from export_core.sources.gitlab_db.renderings import PROJECT, Renderer, Rule, marker, typed

_INCIDENT = 1
"""``work_item_types.base_type``."""


def _literal_default(table: str, column: str, json_text: str) -> tuple[str, Rule]:
    return f"{table}.{column}", lambda r, t: r.default(table, column, t, f"'{json_text}'")


def _column_default(table: str, column: str, other: str) -> tuple[str, Rule]:
    def rule(r: Renderer, t: str) -> str | None:
        kind = r.catalog.type(table, column)
        if kind is None or not r.catalog.has(table, other):
            return r.column(table, column, t)
        # The columns, not their texts: an infinite time is there, although it is exported as null.
        return typed(kind, f"coalesce({t}.{column}, {t}.{other})")

    return f"{table}.{column}", rule


def _unlicensed(table: str, column: str, json_text: str | None) -> tuple[str, Rule]:
    """EE without a licence prints a constant; everything else the column."""

    def rule(r: Renderer, t: str) -> str | None:
        if r.rules.license != "free":
            return r.column(table, column, t)
        return "NULL::text" if json_text is None else f"'{json_text}'::text"

    return f"{table}.{column}", rule


def _event_target_type(r: Renderer, t: str) -> str | None:
    plain = r.column("events", "target_type", t)
    of_project = f"{t}.target_type IS NULL AND {t}.project_id IS NOT NULL AND {t}.action IN (1,5,8,9,11)"
    return None if plain is None else f"CASE WHEN {of_project} THEN '\"Project\"' ELSE {plain} END"


def _position(column: str) -> tuple[str, Rule]:
    def rule(r: Renderer, t: str) -> str | None:
        if not r.catalog.has("notes", column):
            return None
        text = f"to_json({t}.{column})::text"
        if r.rules.stored:
            return _as_stored(column, t)
        return f"CASE WHEN {t}.type = 'DiffNote' THEN {marker('p', text)} ELSE {text} END"

    return f"notes.{column}", rule


def _as_stored(column: str, t: str) -> str:
    """What the loader wrote: YAML with a mark at its start for everything that is not plain text."""
    text = f"to_json({t}.{column})::text"
    return f"CASE WHEN starts_with({t}.{column}, '---') THEN {marker('s', text)} ELSE {text} END"


def _st_diff(r: Renderer, t: str) -> str | None:
    if not r.catalog.has("notes", "st_diff"):
        return None
    if r.rules.stored:
        return _as_stored("st_diff", t)
    text = f"to_json({t}.st_diff)::text"
    return f"CASE WHEN {t}.type = 'LegacyDiffNote' THEN {marker('y', text)} ELSE {text} END"


def _discussion_id(r: Renderer, t: str) -> str | None:
    # GitLab makes up a SHA-1 at every read; ours is made of the note's id, so that it stays the same.
    made_up = f"left(encode(sha256(('discussion of note ' || {t}.id)::bytea), 'hex'), 40)"
    if not r.catalog.has("notes", "discussion_id"):
        return None
    return (
        f"to_json(CASE WHEN {_filled(f'{t}.discussion_id')} THEN {t}.discussion_id ELSE {made_up} END)::text"
    )


def _filled(value: str) -> str:
    """Not NULL, and not blank as Ruby understands it."""
    blanks = r"\s\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
    # The first sign nearly always tells, without a search and without reading a long text to its end.
    return f"(ascii(left({value}, 1)) BETWEEN 33 AND 126 OR {value} ~ '[^{blanks}]')"


def _merge_params(r: Renderer, t: str) -> str | None:
    if not r.catalog.has("merge_requests", "merge_params"):
        return None
    if r.rules.stored:
        return _as_stored("merge_params", t)
    return f"coalesce({marker('m', f'to_json({t}.merge_params)::text')}, '{{}}')"


def _kept(r: Renderer, table: str, t: str, attribute: str, computed: str) -> str:
    """A computed value, or in the embedded instance the one that the archive had."""
    if not (r.rules.stored and r.catalog.has(table, "packmule_kept")):
        return computed
    kept = f"{t}.packmule_kept"
    return f"CASE WHEN {kept} ? '{attribute}' THEN ({kept}->'{attribute}')::text ELSE {computed} END"


def _branch(project: str, branch: str) -> str:
    return marker("b", f"json_build_array({project}, {branch})::text")


def _branch_sha(attribute: str, project_column: str, branch_column: str) -> tuple[str, Rule]:
    def rule(r: Renderer, t: str) -> str | None:
        sha = _branch(f"{t}.{project_column}", f"{t}.{branch_column}")
        return _kept(r, "merge_requests", t, attribute, sha)

    return f"merge_requests.{attribute}", rule


def _diff_head_sha(r: Renderer, t: str) -> str | None:
    """The exported diff's head; only without any diff the branch's commit."""
    branch = _branch(f"{t}.source_project_id", f"{t}.source_branch")
    head = _head_commit_sha(r, "d")
    if head is None:
        return _kept(r, "merge_requests", t, "diff_head_sha", branch)
    diff = (
        f"(SELECT coalesce({head}, 'null') FROM merge_request_diffs d WHERE d.merge_request_id = {t}.id"
        f"{' AND d.diff_type = 1' if r.catalog.has('merge_request_diffs', 'diff_type') else ''}"
        " ORDER BY d.id DESC LIMIT 1)"
    )
    return _kept(r, "merge_requests", t, "diff_head_sha", f"coalesce({diff}, {branch})")


def _head_commit_sha(r: Renderer, t: str) -> str | None:
    if not r.catalog.has("merge_request_diffs", "head_commit_sha"):
        return None
    head = f"to_json({t}.head_commit_sha)::text"
    if not r.catalog.has("merge_request_diff_commits", "sha"):
        return head
    sha, moved = "c.sha", ""
    if r.catalog.has("merge_request_diff_commits", "merge_request_commits_metadata_id") and r.catalog.has(
        "merge_request_commits_metadata", "sha"
    ):
        sha = "CASE WHEN m.id IS NULL THEN c.sha ELSE m.sha END"
        moved = (
            " LEFT JOIN merge_request_commits_metadata m"
            f" ON m.id = c.merge_request_commits_metadata_id AND m.project_id = {PROJECT}"
        )
    first = (
        f"CASE WHEN {t}.head_commit_sha IS NULL THEN (SELECT '\"' || encode({sha}, 'hex') || '\"'"
        f" FROM merge_request_diff_commits c{moved} WHERE c.merge_request_diff_id = {t}.id"
        " ORDER BY c.relative_order LIMIT 1) END"
    )
    return f"coalesce({head}, {first})"


def _message(r: Renderer, t: str) -> str | None:
    plain = r.column("merge_request_diff_commits", "message", t)
    return "'\"\"'::text" if plain is not None and r.rules.drop_commit_messages else plain


def _before_sha(r: Renderer, t: str) -> str | None:
    return r.default("p_ci_pipelines", "before_sha", t, marker("z", "'0'"))


def _files_count(r: Renderer, t: str) -> str | None:
    counted = (
        f"(SELECT count(*)::text FROM merge_request_diff_files f WHERE f.merge_request_diff_id = {t}.id)"
    )
    if not r.catalog.has("merge_request_diffs", "files_count"):
        return None
    return f"CASE WHEN coalesce({t}.files_count, 32767) = 32767 THEN {counted} ELSE {t}.files_count::text END"


def _new_path(r: Renderer, t: str) -> str | None:
    if not r.catalog.has("merge_request_diff_files", "new_path"):
        return None
    return f"to_json(CASE WHEN {_filled(f'{t}.new_path')} THEN {t}.new_path ELSE {t}.old_path END)::text"


def reads_external_diffs(r: Renderer) -> bool:
    """Whether diffs may lie in files of their own; their query then needs the diff's row as ``p``."""
    return (
        not r.rules.stored
        and r.catalog.has("merge_request_diffs", "stored_externally")
        and r.catalog.has("merge_request_diff_files", "external_diff_offset")
    )


def _utf8_diff(r: Renderer, t: str) -> str | None:
    """The column; binary diffs are base64; external ones are read from their file by the resolver."""
    if not r.catalog.has("merge_request_diff_files", "diff"):
        return None
    plain = f"CASE WHEN {_filled(f'{t}.diff')} THEN to_json({t}.diff)::text ELSE '\"\"' END"
    if r.rules.stored:
        plain = f"to_json(coalesce({t}.diff, ''))::text"
    cases = f"WHEN {t}.binary AND {t}.diff <> '' THEN {marker('d', f'to_json({t}.diff)::text')}"
    if reads_external_diffs(r):
        known = r.catalog.has("merge_request_diffs", "external_diff_store")
        store = "p.external_diff_store" if known else "NULL"
        place = (
            f"json_build_array(p.merge_request_id, p.id, {store},"
            f" {t}.external_diff_offset, {t}.external_diff_size, {t}.binary)::text"
        )
        cases = f"WHEN p.stored_externally THEN {marker('x', place)} {cases}"
    return f"CASE {cases} ELSE {plain} END"


def _diff_export(r: Renderer, t: str) -> str | None:
    return r.column("note_diff_files", "diff", t)


def _project_feature(column: str) -> tuple[str, Rule]:
    level = "10" if column.startswith(("metrics_dashboard", "security_and_compliance")) else "20"

    def rule(r: Renderer, t: str) -> str | None:
        registry = column.startswith(("container_registry", "package_registry"))
        fallback = "0" if registry and not r.rules.container_registry else level
        return r.default("project_features", column, t, f"'{fallback}'")

    return f"project_features.{column}", rule


def _instance_push_rule(column: str) -> tuple[str, Rule]:
    def rule(r: Renderer, t: str) -> str | None:
        plain = r.column("push_rules", column, t)
        if plain is None:
            return None
        sources = []
        if r.catalog.has("organization_push_rules", column) and r.catalog.has("projects", "organization_id"):
            sources.append(
                f"(SELECT o.{column}::text FROM organization_push_rules o JOIN projects p"
                f" ON p.organization_id = o.organization_id WHERE p.id = {t}.project_id LIMIT 1)"
            )
        if r.catalog.has("push_rules", "is_sample"):
            sources.append(
                f"(SELECT i.{column}::text FROM push_rules i WHERE i.is_sample ORDER BY i.id LIMIT 1)"
            )
        return f"coalesce({', '.join([plain, *sources])})"

    return f"push_rules.{column}", rule


def _slug_of_api_url(column: str, place: int) -> tuple[str, Rule]:
    def rule(r: Renderer, t: str) -> str | None:
        if not r.catalog.has("project_error_tracking_settings", "api_url"):
            return r.column("project_error_tracking_settings", column, t)
        slug = f"(regexp_match({t}.api_url, '/api/0/projects/([^/]+)/([^/]+)'))[{place}]"
        titled = f"to_json({titleised(slug)})::text"
        return r.default("project_error_tracking_settings", column, t, titled)

    return f"project_error_tracking_settings.{column}", rule


def titleised(slug: str) -> str:
    """ActiveSupport's ``titleize``: capitals within a word begin a new one, an ``_id`` at the end goes."""
    apart = f"regexp_replace({slug}, '(?<=[A-Z])(?=[A-Z][a-z])|(?<=[a-z0-9])(?=[A-Z])', ' ', 'g')"
    words = f"ltrim(translate(lower({apart}), '-_', '  '))"
    return f"initcap(regexp_replace({words}, ' id$', ''))"


def _branch_name(_: Renderer, t: str) -> str | None:
    return f"(SELECT to_json(b.name)::text FROM protected_branches b WHERE b.id = {t}.protected_branch_id)"


def _text_color(r: Renderer, t: str) -> str | None:
    color = r.attribute("labels", "color", t)
    return None if color is None else _kept(r, "labels", t, "textColor", marker("c", color))


def _default_branch(r: Renderer, t: str) -> str | None:
    return _kept(r, "projects", t, "default_branch", marker("h", f"{t}.id::text"))


def _allow_force_push(r: Renderer, t: str) -> str | None:
    plain = r.column("protected_branches", "allow_force_push", t)
    if plain is None or not push_policies.decidable(r.catalog, r.rules):
        return plain
    return f"CASE WHEN {t}.allow_force_push THEN {marker('f', f'to_json({t}.name)::text')} ELSE {plain} END"


def _weight(r: Renderer, t: str) -> str | None:
    """Incidents of EE have none, whatever their column says."""
    plain = r.column("issues", "weight", t)
    if plain is None or r.rules.license == "ce":
        return plain
    if r.rules.license == "free":
        return "NULL::text"
    if r.catalog.has("issues", "work_item_type_id") and r.catalog.has("work_item_types", "base_type"):
        incidents = f"ARRAY(SELECT i.id FROM work_item_types i WHERE i.base_type = {_INCIDENT})"
        return f"CASE WHEN {t}.work_item_type_id = ANY({incidents}) THEN NULL ELSE {plain} END"
    return plain


def _description(r: Renderer, t: str) -> str | None:
    if r.rules.description is None:
        return r.column("projects", "description", t)
    # In hexadecimal digits nothing looks like a parameter, a quote or a column.
    digits = r.rules.description.encode(errors="replace").hex()
    return f"to_json(convert_from(decode('{digits}', 'hex'), 'UTF8'))::text"


def _constant(json_text: str) -> Rule:
    return lambda _r, _t: f"'{json_text}'::text"


_ALWAYS: Mapping[str, Rule] = dict(
    [
        ("labels.textColor", _text_color),
        _position("position"),
        _position("original_position"),
        _position("change_position"),
        ("notes.st_diff", _st_diff),
        ("merge_requests.merge_params", _merge_params),
        ("merge_requests.diff_head_sha", _diff_head_sha),
        _branch_sha("source_branch_sha", "source_project_id", "source_branch"),
        _branch_sha("target_branch_sha", "target_project_id", "target_branch"),
        ("merge_request_diff_files.utf8_diff", _utf8_diff),
        ("note_diff_files.diff_export", _diff_export),
        (
            "approval_project_rules_protected_branches.branch_name",
            _branch_name,
        ),
        ("projects.default_branch", _default_branch),
        ("projects.description", _description),
    ]
)
"""What no column holds, in the embedded instance too."""


@cache
def _of_gitlab() -> Mapping[str, Rule]:
    features = [name for name in relations()["project_feature"].attributes if name.endswith("_access_level")]
    return dict(
        [
            _literal_default("labels", "color", '"#6699cc"'),
            ("events.target_type", _event_target_type),
            ("issues.weight", _weight),
            _literal_default("issues", "time_estimate", "0"),
            _literal_default("merge_requests", "time_estimate", "0"),
            _unlicensed("merge_requests", "approvals_before_merge", None),
            ("notes.discussion_id", _discussion_id),
            _column_default("notes", "last_edited_at", "updated_at"),
            _literal_default("epics", "color", '"#1068bf"'),
            _literal_default("snippets", "file_name", '""'),
            _column_default("releases", "name", "tag"),
            ("members.source_type", _constant('"Project"')),
            ("merge_request_diffs.head_commit_sha", _head_commit_sha),
            ("merge_request_diffs.files_count", _files_count),
            ("merge_request_diff_files.new_path", _new_path),
            ("merge_request_diff_commits.message", _message),
            ("p_ci_pipelines.before_sha", _before_sha),
            ("protected_branches.allow_force_push", _allow_force_push),
            _unlicensed("protected_branches", "code_owner_approval_required", "false"),
            *(_project_feature(name) for name in features),
            _slug_of_api_url("organization_name", 1),
            _slug_of_api_url("project_name", 2),
            ("push_rules.regexp_uses_re2", _constant("true")),
            _instance_push_rule("reject_unsigned_commits"),
            _instance_push_rule("commit_committer_check"),
            _instance_push_rule("reject_non_dco_commits"),
            *((f"projects.{name}", rule) for name, rule in PROJECT_RULES.items()),
        ]
    )


@cache
def exceptions(*, stored: bool) -> Mapping[str, Rule]:
    """The rules of a real GitLab, or those that remain where rows are stored as archives had them."""
    return _ALWAYS if stored else {**_of_gitlab(), **_ALWAYS}
