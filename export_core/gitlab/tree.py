"""The tree of a GitLab project export: which rows become which JSON, as data.

Everything about relations is derived from here: the SQL that builds the JSON lines
(``export_core.sources.gitlab_db.sql``), loading an archive into the embedded instance, the indexes of the
embedded instance, and the checks of ``verify``. How a single value is rendered follows from its column's
type (``export_core.gitlab.schema``), ``ENUM_COLUMNS`` and, for the exceptions, ``renderings.RULES``.

Source of the facts: GitLab 18.9, lib/gitlab/import_export/project/import_export.yml and the models it names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

Database = Literal["main", "ci", "sec"]
Edition = Literal["ce", "ee"]


@dataclass(frozen=True, slots=True)
class Through:
    """A join table between parent and child: ``parent.parent_key = table.to_parent``, ``table.to_child``."""

    table: str
    to_parent: str
    to_child: str


@dataclass(frozen=True, slots=True)
class Node:
    """One relation of the tree: rows of ``table`` where ``child_key`` equals the parent's ``parent_key``."""

    name: str
    """Key in the parent's JSON; at the top, the name of the file."""
    table: str
    attributes: tuple[str, ...]
    """In the order of the columns; names that are no columns have a rule in ``renderings.RULES``."""
    children: tuple[Node, ...] = ()
    many: bool = True
    """List or single object."""
    parent_key: str = "id"
    child_key: str = "project_id"
    through: Through | None = None
    where: tuple[tuple[str, str], ...] = ()
    """Further conditions as (column, value): the column equals the text value."""
    condition: str | None = None
    """A condition that no equality can say; ``{t}`` stands for the table."""
    order: tuple[str, ...] = ("id",)
    """Sort columns; ``column desc`` and ``column nulls last`` are understood."""
    primary_key: tuple[str, ...] = ("id",)
    edition: Edition = "ce"
    database: Database = "main"
    partition_key: tuple[str, str] | None = None
    """(own column, parent's column) that hold the same partition key in a partitioned table."""
    empty_file: bool = False
    """Whether the file is written even when there is no row (project_members)."""

    @property
    def belongs_to(self) -> bool:
        """Whether the parent holds the foreign key, so that many parents share one row."""
        return self.child_key == "id" and self.through is None

    def walk(self, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Node]]:
        """This node and all below it, each with its path."""
        here = (*path, self.name)
        yield here, self
        for child in self.children:
            yield from child.walk(here)


def _node(name: str, table: str, attributes: str, *children: Node, **more: object) -> Node:
    return Node(name, table, tuple(attributes.split()), children, **more)  # type: ignore[arg-type]


def _one(name: str, table: str, attributes: str, *children: Node, **more: object) -> Node:
    """A single object whose foreign key is in its own table."""
    return _node(name, table, attributes, *children, many=False, **more)


def _ref(name: str, table: str, key: str, attributes: str, *children: Node, **more: object) -> Node:
    """A single object that the parent refers to by ``key``."""
    return _node(name, table, attributes, *children, many=False, parent_key=key, child_key="id", **more)


def _as(shape: Node, name: str, **changes: object) -> Node:
    """A shape at another place of the tree."""
    return replace(shape, name=name, **changes)  # type: ignore[arg-type]


def _polymorphic(shape: Node, name: str, prefix: str, type_name: str) -> Node:
    """A shape that belongs to any of several tables by ``<prefix>_id`` and ``<prefix>_type``."""
    return _as(shape, name, child_key=f"{prefix}_id", where=((f"{prefix}_type", type_name),))


# Shapes that occur at several places --------------------------------------------------------------------

_PUSH_EVENT_PAYLOAD = _one(
    "push_event_payload",
    "push_event_payloads",
    "commit_count action ref_type commit_from commit_to ref commit_title ref_count",
    child_key="event_id",
    order=("event_id",),
    primary_key=("event_id",),
)
_EVENT = _node(
    "events",
    "events",
    "project_id author_id created_at updated_at action target_type fingerprint",
    _PUSH_EVENT_PAYLOAD,
)


def _events(target_type: str) -> Node:
    return _polymorphic(_EVENT, "events", "target", target_type)


_AWARD_EMOJI = _node("award_emoji", "award_emoji", "name user_id awardable_type created_at updated_at")


def _award_emoji(awardable_type: str) -> Node:
    return _polymorphic(_AWARD_EMOJI, "award_emoji", "awardable", awardable_type)


_PRIORITIES = _node(
    "priorities", "label_priorities", "project_id priority created_at updated_at", child_key="label_id"
)
_LABEL_ATTRIBUTES = "title color project_id created_at updated_at template description group_id type"
_LABEL = _ref("label", "labels", "label_id", _LABEL_ATTRIBUTES, _PRIORITIES)
_LABEL_LINKS = _node("label_links", "label_links", "target_type created_at updated_at", _LABEL)

_MILESTONE_ATTRIBUTES = (
    "title project_id description due_date created_at updated_at state iid start_date group_id"
)
_BARE_MILESTONE = _ref("milestone", "milestones", "milestone_id", _MILESTONE_ATTRIBUTES)
_MILESTONE = replace(_BARE_MILESTONE, children=(_events("Milestone"),))

_ITERATION = _ref(
    "iteration",
    "sprints",
    "sprint_id",
    "created_at updated_at start_date due_date group_id iid description",
    _ref("iterations_cadence", "iterations_cadences", "iterations_cadence_id", "title", edition="ee"),
    edition="ee",
)

_AUTHOR = _ref("author", "users", "author_id", "name")
_NOTE_ATTRIBUTES = (
    "note noteable_type author_id created_at updated_at project_id line_code commit_id system st_diff"
    " updated_by_id type position original_position resolved_at resolved_by_id discussion_id"
    " change_position resolved_by_push confidential last_edited_at"
)


def _notes(noteable_type: str, *children: Node) -> Node:
    shape = _node("notes", "notes", _NOTE_ATTRIBUTES, *children)
    return _polymorphic(shape, "notes", "noteable", noteable_type)


_SYSTEM_NOTE_METADATA = _one(
    "system_note_metadata",
    "system_note_metadata",
    "commit_count action created_at updated_at",
    child_key="note_id",
)
_TIMELOGS = _node(
    "timelogs", "timelogs", "time_spent user_id created_at updated_at spent_at project_id summary"
)
_LABEL_EVENTS = _node("resource_label_events", "resource_label_events", "action user_id created_at", _LABEL)
_MILESTONE_EVENTS = _node(
    "resource_milestone_events",
    "resource_milestone_events",
    "user_id action state created_at",
    _BARE_MILESTONE,
)
_STATE_EVENTS = _node(
    "resource_state_events",
    "resource_state_events",
    "user_id created_at state source_commit close_after_error_tracking_resolve"
    " close_auto_resolve_prometheus_alert",
)


def _issuable(key: str, type_name: str) -> tuple[Node, ...]:
    """What hangs on issues and merge requests alike."""
    return (
        _events(type_name),
        _as(_TIMELOGS, "timelogs", child_key=key),
        _polymorphic(_LABEL_LINKS, "label_links", "target", type_name),
        _MILESTONE,
        _as(_LABEL_EVENTS, "resource_label_events", child_key=key),
        _as(_MILESTONE_EVENTS, "resource_milestone_events", child_key=key),
        _as(_STATE_EVENTS, "resource_state_events", child_key=key),
        _award_emoji(type_name),
    )


_DESIGN_ATTRIBUTES = "project_id filename relative_position iid"
_ACCESS_LEVEL = "access_level created_at updated_at user_id group_id"

# The relations ------------------------------------------------------------------------------------------

_LABELS = _node(
    "labels", "labels", f"{_LABEL_ATTRIBUTES} textColor", _PRIORITIES, where=(("type", "ProjectLabel"),)
)
_MILESTONES = _node("milestones", "milestones", _MILESTONE_ATTRIBUTES, _events("Milestone"))

_EPIC = _ref(
    "epic",
    "epics",
    "epic_id",
    "id group_id author_id assignee_id iid cached_markdown_version updated_by_id last_edited_by_id"
    " lock_version start_date end_date last_edited_at created_at updated_at title title_html description"
    " description_html start_date_fixed due_date_fixed start_date_is_fixed due_date_is_fixed closed_by_id"
    " closed_at relative_position confidential color total_opened_issue_weight total_closed_issue_weight"
    " total_opened_issue_count total_closed_issue_count imported imported_from",
    edition="ee",
)
_ISSUES = _node(
    "issues",
    "issues",
    "title author_id project_id created_at updated_at description iid updated_by_id weight confidential"
    " due_date lock_version time_estimate relative_position last_edited_at last_edited_by_id"
    " discussion_locked closed_at closed_by_id health_status state",
    *_issuable("issue_id", "Issue"),
    _notes("Issue", _AUTHOR, _award_emoji("Note"), _SYSTEM_NOTE_METADATA, _events("Note")),
    _node(
        "designs",
        "design_management_designs",
        _DESIGN_ATTRIBUTES,
        _notes("DesignManagement::Design", _AUTHOR, _events("Note")),
        child_key="issue_id",
    ),
    _node(
        "design_versions",
        "design_management_versions",
        "sha created_at author_id namespace_id",
        _node(
            "actions",
            "design_management_designs_versions",
            "event",
            _ref("design", "design_management_designs", "design_id", _DESIGN_ATTRIBUTES),
            child_key="version_id",
        ),
        child_key="issue_id",
    ),
    _one(
        "work_item_description",
        "work_item_descriptions",
        "last_edited_by_id last_edited_at description",
        child_key="work_item_id",
        order=("work_item_id",),
        primary_key=("work_item_id", "namespace_id"),
        partition_key=("namespace_id", "namespace_id"),
    ),
    _node(
        "issue_assignees",
        "issue_assignees",
        "user_id",
        child_key="issue_id",
        order=("user_id",),
        primary_key=("issue_id", "user_id"),
    ),
    _node(
        "zoom_meetings",
        "zoom_meetings",
        "project_id created_at updated_at issue_status url",
        child_key="issue_id",
    ),
    _one("sentry_issue", "sentry_issues", "sentry_issue_identifier", child_key="issue_id"),
    _ref("work_item_type", "work_item_types", "work_item_type_id", "base_type"),
    _one("epic_issue", "epic_issues", "id relative_position", _EPIC, child_key="issue_id", edition="ee"),
    _one("issuable_sla", "issuable_slas", "due_at", child_key="issue_id", edition="ee"),
    _ITERATION,
    _node(
        "resource_iteration_events",
        "resource_iteration_events",
        "user_id created_at action",
        _as(_ITERATION, "iteration", parent_key="iteration_id"),
        child_key="issue_id",
        edition="ee",
    ),
    order=("relative_position nulls last", "id"),
)

_SNIPPETS = _node(
    "snippets",
    "snippets",
    "title content author_id project_id created_at updated_at file_name visibility_level description",
    _award_emoji("Snippet"),
    _notes("Snippet", _AUTHOR, _award_emoji("Note")),
    where=(("type", "ProjectSnippet"),),
)
_RELEASES = _node(
    "releases",
    "releases",
    "tag description project_id created_at updated_at author_id name sha released_at",
    _node(
        "links", "release_links", "url name created_at updated_at filepath link_type", child_key="release_id"
    ),
    _node(
        "milestone_releases",
        "milestone_releases",
        "project_id",
        _BARE_MILESTONE,
        child_key="release_id",
        order=("milestone_id",),
        primary_key=("milestone_id", "release_id"),
    ),
)
_PROJECT_MEMBERS = _node(
    "project_members",
    "members",
    "access_level source_type user_id notification_level created_at updated_at created_by_id invite_email"
    " invite_accepted_at requested_at expires_at ldap override",
    _ref("user", "users", "user_id", "id username public_email"),
    child_key="source_id",
    where=(("source_type", "Project"), ("type", "ProjectMember")),
    condition="{t}.requested_at IS NULL",
    empty_file=True,
)

_COMMIT_AUTHOR = _ref("commit_author", "merge_request_diff_commit_users", "commit_author_id", "name email")
_COMMITTER = _ref("committer", "merge_request_diff_commit_users", "committer_id", "name email")
_DIFF = _one(
    "merge_request_diff",
    "merge_request_diffs",
    "state created_at updated_at base_commit_sha real_size head_commit_sha start_commit_sha commits_count"
    " files_count sorted diff_type",
    _node(
        "merge_request_diff_commits",
        "merge_request_diff_commits",
        "authored_date committed_date relative_order sha message trailers",
        _COMMIT_AUTHOR,
        _COMMITTER,
        _ref(
            "merge_request_commits_metadata",
            "merge_request_commits_metadata",
            "merge_request_commits_metadata_id",
            "authored_date committed_date sha message",
            _COMMIT_AUTHOR,
            _COMMITTER,
            primary_key=("id", "project_id"),
        ),
        child_key="merge_request_diff_id",
        order=("relative_order",),
        primary_key=("merge_request_diff_id", "relative_order"),
    ),
    _node(
        "merge_request_diff_files",
        "merge_request_diff_files",
        "relative_order new_file renamed_file deleted_file too_large a_mode b_mode new_path old_path binary"
        " encoded_file_path utf8_diff",
        child_key="merge_request_diff_id",
        order=("relative_order",),
        primary_key=("merge_request_diff_id", "relative_order"),
    ),
    child_key="merge_request_id",
    condition="{t}.diff_type = 1",
    order=("id desc",),
)
_MERGE_REQUEST_COLUMNS = (
    "target_branch source_branch source_project_id author_id title created_at updated_at merge_status"
    " target_project_id iid description updated_by_id merge_error merge_params merge_user_id"
    " merge_commit_sha approvals_before_merge rebase_commit_sha in_progress_merge_commit_sha lock_version"
    " time_estimate squash last_edited_at last_edited_by_id discussion_locked allow_maintainer_to_push"
    " squash_commit_sha merge_ref_sha draft"
)
_USER_AND_TIMES = "user_id created_at updated_at"
_MERGE_REQUESTS = _node(
    "merge_requests",
    "merge_requests",
    f"{_MERGE_REQUEST_COLUMNS} diff_head_sha source_branch_sha target_branch_sha state",
    *_issuable("merge_request_id", "MergeRequest"),
    _node("approvals", "approvals", _USER_AND_TIMES, child_key="merge_request_id"),
    _one(
        "metrics",
        "merge_request_metrics",
        "latest_build_started_at latest_build_finished_at first_deployed_to_production_at merged_at"
        " created_at updated_at merged_by_id latest_closed_by_id latest_closed_at first_comment_at"
        " first_commit_at last_commit_at diff_size modified_paths_size commits_count first_approved_at"
        " first_reassigned_at added_lines removed_lines target_project_id",
        child_key="merge_request_id",
    ),
    _node(
        "merge_request_assignees",
        "merge_request_assignees",
        "user_id created_at",
        child_key="merge_request_id",
    ),
    _node(
        "merge_request_reviewers",
        "merge_request_reviewers",
        "user_id created_at state",
        child_key="merge_request_id",
    ),
    _notes(
        "MergeRequest",
        _AUTHOR,
        _award_emoji("Note"),
        _SYSTEM_NOTE_METADATA,
        _events("Note"),
        _node(
            "suggestions",
            "suggestions",
            "relative_order applied commit_id from_content to_content lines_above lines_below outdated",
            child_key="note_id",
            order=("relative_order",),
        ),
        _one(
            "note_diff_file",
            "note_diff_files",
            "new_file renamed_file deleted_file a_mode b_mode new_path old_path diff_export",
            child_key="diff_note_id",
        ),
    ),
    _DIFF,
    child_key="target_project_id",
    order=("created_at nulls last", "id"),
)

_EXTERNAL_PULL_REQUESTS = _node(
    "external_pull_requests",
    "external_pull_requests",
    "created_at updated_at project_id pull_request_iid status source_branch target_branch"
    " source_repository target_repository source_sha target_sha",
    database="ci",
)
_COMMIT_NOTES = _node(
    "commit_notes",
    "notes",
    f"{_NOTE_ATTRIBUTES} internal id imported_from",
    _AUTHOR,
    _events("Note"),
    where=(("noteable_type", "Commit"),),
)

_JOB_ATTRIBUTES = (
    "status finished_at created_at updated_at started_at coverage name allow_failure stage_idx tag ref type"
    " target_url description erased_at artifacts_expire_at environment queued_at lock_version"
    " coverage_regex retried protected failure_reason scheduled_at scheduling_type commit_id project_id"
    " user_id"
)


def _jobs(name: str, type_name: str, attributes: str = _JOB_ATTRIBUTES) -> Node:
    return _node(
        name,
        "p_ci_builds",
        attributes,
        child_key="stage_id",
        where=(("type", type_name),),
        primary_key=("id", "partition_id"),
        database="ci",
        partition_key=("partition_id", "partition_id"),
    )


_CI_PIPELINES = _node(
    "ci_pipelines",
    "p_ci_pipelines",
    "ref sha before_sha created_at updated_at tag yaml_errors committed_at project_id status started_at"
    " finished_at duration user_id lock_version source config_source protected failure_reason iid"
    " source_sha target_sha",
    _node(
        "stages",
        "p_ci_stages",
        "project_id created_at updated_at name status lock_version position",
        _jobs("builds", "Ci::Build", f"{_JOB_ATTRIBUTES} when"),
        _jobs("generic_commit_statuses", "GenericCommitStatus"),
        _jobs("bridges", "Ci::Bridge"),
        child_key="pipeline_id",
        order=("position", "id"),
        primary_key=("id", "partition_id"),
        database="ci",
        partition_key=("partition_id", "partition_id"),
    ),
    replace(
        _EXTERNAL_PULL_REQUESTS,
        name="external_pull_request",
        many=False,
        parent_key="external_pull_request_id",
        child_key="id",
    ),
    _ref("merge_request", "merge_requests", "merge_request_id", _MERGE_REQUEST_COLUMNS),
    _one(
        "pipeline_metadata",
        "ci_pipeline_metadata",
        "project_id name",
        child_key="pipeline_id",
        order=("pipeline_id",),
        primary_key=("pipeline_id",),
        database="ci",
    ),
    # Dangling pipelines (ondemand scans, web IDE children, ...) never belong to the project's history.
    condition="({t}.source IS NULL OR {t}.source IN (1,2,3,4,5,6,7,8,10,11))",
    primary_key=("id", "partition_id"),
    database="ci",
)

_PROJECT_FEATURES = (
    "merge_requests issues wiki snippets builds",
    "repository pages forking metrics_dashboard requirements operations analytics security_and_compliance"
    " container_registry package_registry monitor infrastructure feature_flags environments releases"
    " model_experiments model_registry",
)
_SMALL_RELATIONS = (
    _one("auto_devops", "project_auto_devops", "project_id created_at updated_at enabled deploy_strategy"),
    _node(
        "pipeline_schedules",
        "ci_pipeline_schedules",
        "description ref cron cron_timezone next_run_at project_id owner_id active created_at updated_at",
        database="ci",
    ),
    _one(
        "container_expiration_policy",
        "container_expiration_policies",
        "project_id created_at updated_at next_run_at name_regex cadence older_than keep_n enabled"
        " name_regex_keep",
        order=("project_id",),
        primary_key=("project_id",),
    ),
    _node(
        "protected_branches",
        "protected_branches",
        "project_id name created_at updated_at code_owner_approval_required allow_force_push",
        _node(
            "merge_access_levels",
            "protected_branch_merge_access_levels",
            _ACCESS_LEVEL,
            child_key="protected_branch_id",
        ),
        _node(
            "push_access_levels",
            "protected_branch_push_access_levels",
            _ACCESS_LEVEL,
            child_key="protected_branch_id",
            condition="{t}.deploy_key_id IS NULL",
        ),
        _node(
            "unprotect_access_levels",
            "protected_branch_unprotect_access_levels",
            "access_level user_id group_id",
            child_key="protected_branch_id",
            edition="ee",
        ),
        _one(
            "squash_option",
            "projects_branch_rules_squash_options",
            "project_id squash_option",
            child_key="protected_branch_id",
            edition="ee",
        ),
    ),
    _node(
        "protected_tags",
        "protected_tags",
        "project_id name created_at updated_at",
        _node(
            "create_access_levels",
            "protected_tag_create_access_levels",
            "access_level user_id group_id created_at updated_at",
            child_key="protected_tag_id",
        ),
    ),
    _one(
        "project_feature",
        "project_features",
        "project_id "
        + " ".join(f"{feature}_access_level" for feature in _PROJECT_FEATURES[0].split())
        + " created_at updated_at "
        + " ".join(f"{feature}_access_level" for feature in _PROJECT_FEATURES[1].split()),
    ),
    _node("custom_attributes", "project_custom_attributes", "created_at updated_at project_id key value"),
    _node(
        "project_badges",
        "badges",
        "link_url image_url project_id name created_at updated_at type",
        where=(("type", "ProjectBadge"),),
    ),
    _one(
        "ci_cd_settings",
        "project_ci_cd_settings",
        "group_runners_enabled merge_pipelines_enabled default_git_depth forward_deployment_enabled"
        " merge_trains_enabled auto_rollback_enabled keep_latest_artifact job_token_scope_enabled"
        " runner_token_expiration_interval separated_caches allow_fork_pipelines_to_run_in_parent_project"
        " inbound_job_token_scope_enabled forward_deployment_rollback_allowed"
        " merge_trains_skip_train_allowed restrict_pipeline_cancellation_role"
        " pipeline_variables_minimum_override_role push_repository_for_job_token_allowed"
        " id_token_sub_claim_components delete_pipelines_in_seconds"
        " allow_composite_identities_to_run_pipelines display_pipeline_variables"
        " resource_group_default_process_mode",
    ),
    _one(
        "error_tracking_setting",
        "project_error_tracking_settings",
        "project_id api_url project_name organization_name",
        order=("project_id",),
        primary_key=("project_id",),
    ),
    _node(
        "boards",
        "boards",
        "project_id created_at updated_at name group_id weight hide_backlog_list hide_closed_list",
        _node(
            "lists",
            "lists",
            "list_type position created_at updated_at user_id max_issue_count max_issue_weight limit_metric",
            _LABEL,
            replace(_BARE_MILESTONE, edition="ee"),
            child_key="board_id",
            order=("list_type", "position", "id"),
        ),
        replace(_BARE_MILESTONE, edition="ee"),
    ),
    _one(
        "service_desk_setting",
        "service_desk_settings",
        "project_id issue_template_key project_key",
        order=("project_id",),
        primary_key=("project_id",),
    ),
    # Only the offline-transfer variant of the relations export fills it; a file export holds `null`.
    _ref("user_contributions", "users", "", "name username public_email", condition="false"),
    _node(
        "protected_environments",
        "protected_environments",
        "project_id created_at updated_at name group_id",
        _node(
            "deploy_access_levels",
            "protected_environment_deploy_access_levels",
            "created_at updated_at access_level user_id group_id",
            child_key="protected_environment_id",
            edition="ee",
        ),
        edition="ee",
    ),
    _one(
        "security_setting",
        "project_security_settings",
        "project_id created_at updated_at",
        order=("project_id",),
        primary_key=("project_id",),
        edition="ee",
    ),
    _one(
        "push_rule",
        "push_rules",
        "commit_message_regex deny_delete_tag author_email_regex member_check file_name_regex is_sample"
        " max_file_size prevent_secrets branch_name_regex reject_unsigned_commits commit_committer_check"
        " regexp_uses_re2 commit_message_negative_regex reject_non_dco_commits",
        edition="ee",
    ),
    _node(
        "approval_rules",
        "approval_project_rules",
        "approvals_required name rule_type scanners vulnerabilities_allowed severity_levels report_type"
        " vulnerability_states orchestration_policy_idx applies_to_all_protected_branches",
        _node(
            "approval_project_rules_protected_branches",
            "approval_project_rules_protected_branches",
            "branch_name",
            child_key="approval_project_rule_id",
            order=("protected_branch_id",),
            primary_key=("approval_project_rule_id", "protected_branch_id"),
            edition="ee",
        ),
        _node(
            "approval_project_rules_users",
            "approval_project_rules_users",
            "user_id",
            child_key="approval_project_rule_id",
            edition="ee",
        ),
        condition="({t}.report_type IS NULL OR {t}.report_type NOT IN (2,4,5))",
        edition="ee",
    ),
)

_SCANNER = _ref(
    "scanner",
    "vulnerability_scanners",
    "scanner_id",
    "project_id external_id name vendor",
    edition="ee",
    database="sec",
)
_IDENTIFIER_ATTRIBUTES = "project_id fingerprint external_type external_id name url"


def _finding_pipeline(name: str, key: str) -> Node:
    return _ref(
        name, "p_ci_pipelines", key, "iid", primary_key=("id", "partition_id"), edition="ee", database="ci"
    )


_VULNERABILITIES = _node(
    "vulnerabilities",
    "vulnerabilities",
    "project_id author_id title description severity report_type",
    _ref(
        "vulnerability_finding",
        "vulnerability_occurrences",
        "finding_id",
        "severity report_type project_id location_fingerprint name metadata_version raw_metadata"
        " detection_method uuid",
        _SCANNER,
        _ref(
            "primary_identifier",
            "vulnerability_identifiers",
            "primary_identifier_id",
            _IDENTIFIER_ATTRIBUTES,
            edition="ee",
            database="sec",
        ),
        _node(
            "identifiers",
            "vulnerability_identifiers",
            _IDENTIFIER_ATTRIBUTES,
            child_key="id",
            through=Through("vulnerability_occurrence_identifiers", "occurrence_id", "identifier_id"),
            edition="ee",
            database="sec",
        ),
        _finding_pipeline("initial_finding_pipeline", "initial_pipeline_id"),
        _finding_pipeline("latest_finding_pipeline", "latest_pipeline_id"),
        edition="ee",
        database="sec",
    ),
    _one(
        "vulnerability_read",
        "vulnerability_reads",
        "project_id",
        _SCANNER,
        child_key="vulnerability_id",
        edition="ee",
        database="sec",
    ),
    edition="ee",
    database="sec",
)

ROOT = _one(
    "project",
    "projects",
    "description visibility_level archived merge_requests_template merge_requests_rebase_enabled"
    " approvals_before_merge reset_approvals_on_push merge_requests_ff_only_enabled issues_template"
    " shared_runners_enabled build_allow_git_fetch build_timeout pending_delete public_builds"
    " last_repository_check_failed only_allow_merge_if_pipeline_succeeds has_external_issue_tracker"
    " request_access_enabled has_external_wiki only_allow_merge_if_all_discussions_are_resolved"
    " printing_merge_request_link_enabled auto_cancel_pending_pipelines service_desk_enabled delete_error"
    " disable_overriding_approvers_per_merge_request resolve_outdated_diff_discussions jobs_cache_index"
    " external_authorization_classification_label pages_https_only merge_requests_author_approval"
    " merge_requests_disable_committers_approval require_password_to_approve max_artifacts_size"
    " remove_source_branch_after_merge autoclose_referenced_issues suggestion_commit_message"
    " allow_merge_on_skipped_pipeline default_branch squash_option merge_commit_template"
    " squash_commit_template",
    child_key="id",
)
"""The object of ``tree/project.json``."""

PROJECT_SETTINGS_ATTRIBUTES = (
    "allow_merge_on_skipped_pipeline",
    "squash_option",
    "merge_commit_template",
    "squash_commit_template",
)
"""Attributes of the root object that lie in ``project_settings``."""

KEPT_ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "projects": ("default_branch",),
    "labels": ("textColor",),
    "merge_requests": ("diff_head_sha", "source_branch_sha", "target_branch_sha"),
}
"""What GitLab computes from a repository or by a rule that changed: the embedded instance keeps these values
as the archive had them, in the column ``packmule_kept`` (jsonb) of the table."""

RELATIONS: tuple[Node, ...] = (
    _LABELS,
    _MILESTONES,
    _ISSUES,
    _SNIPPETS,
    _RELEASES,
    _PROJECT_MEMBERS,
    _MERGE_REQUESTS,
    _EXTERNAL_PULL_REQUESTS,
    _COMMIT_NOTES,
    _CI_PIPELINES,
    *_SMALL_RELATIONS,
    _VULNERABILITIES,
)
"""All relation files, in GitLab's order of processing."""


def relations() -> Mapping[str, Node]:
    """The top-level relations by name."""
    return {node.name: node for node in RELATIONS}
