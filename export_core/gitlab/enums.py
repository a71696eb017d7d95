"""GitLab's enumerations: numbers in the database, words in the export.

Source: the models of GitLab 18.9 (``enum`` declarations). A number that is not listed is exported as null.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Enum:
    """The words of one enumeration."""

    words: Mapping[int, str]
    null_word: str | None = None
    """What an SQL NULL is exported as."""

    def number(self, word: str) -> int | None:
        """The number of a word. Raises KeyError for a word that the enumeration does not have."""
        if word == self.null_word:
            return None
        return next(number for number, known in self.words.items() if known == word)


def _listed(words: str, start: int = 0, *, null: str | None = None) -> Enum:
    return Enum(dict(enumerate(words.split(), start)), null)


ENUMS: Mapping[str, Enum] = {
    "event_action": _listed(
        "created updated closed reopened pushed commented merged joined left destroyed expired approved",
        1,
    ),
    "push_payload_action": _listed("created removed pushed"),
    "push_ref_type": _listed("branch tag"),
    "issuable_state": _listed("opened closed merged locked", 1),
    "resource_state": _listed("opened closed merged locked reopened", 1),
    "add_remove": _listed("add remove", 1),
    "zoom_status": _listed("added removed", 1),
    "design_event": _listed("creation modification deletion"),
    "work_item_base_type": _listed(
        "issue incident test_case requirement task objective key_result epic ticket"
    ),
    "health_status": _listed("on_track needs_attention at_risk", 1),
    "release_link_type": _listed("other runbook package image"),
    "reviewer_state": _listed("unreviewed reviewed requested_changes approved unapproved review_started"),
    "mr_diff_type": _listed("regular merge_head", 1),
    "external_pr_status": _listed("open closed", 1),
    "ci_source": _listed(
        "push web trigger schedule api external pipeline chat webide merge_request_event "
        "external_pull_request_event parent_pipeline ondemand_dast_scan "
        "ondemand_dast_validation security_orchestration_policy container_registry_push "
        "duo_workflow pipeline_execution_policy_schedule",
        1,
        null="unknown",
    ),
    "ci_config_source": _listed(
        "repository_source auto_devops_source webide_source remote_source "
        "external_project_source bridge_source parameter_source compliance_source "
        "security_policies_default_source pipeline_execution_policy_forced",
        1,
        null="unknown_source",
    ),
    "ci_pipeline_failure_reason": Enum(
        {
            0: "unknown_failure",
            1: "config_error",
            2: "external_validation_failure",
            3: "user_not_verified",
            21: "size_limit_exceeded",
            22: "job_activity_limit_exceeded",
            23: "deployments_limit_exceeded",
            25: "project_deleted",
            26: "filtered_by_rules",
            27: "filtered_by_workflow_rules",
            28: "composite_identity_forbidden",
            29: "pipeline_ref_creation_failure",
        },
    ),
    "ci_stage_status": _listed(
        "created pending running success failed canceled skipped manual scheduled "
        "preparing waiting_for_resource waiting_for_callback canceling",
    ),
    "ci_job_failure_reason": Enum(
        {
            1: "script_failure",
            2: "api_failure",
            3: "stuck_or_timeout_failure",
            4: "runner_system_failure",
            5: "missing_dependency_failure",
            6: "runner_unsupported",
            7: "stale_schedule",
            8: "job_execution_timeout",
            9: "archived_failure",
            10: "unmet_prerequisites",
            11: "scheduler_failure",
            12: "data_integrity_failure",
            13: "forward_deployment_failure",
            14: "user_blocked",
            15: "project_deleted",
            16: "ci_quota_exceeded",
            17: "pipeline_loop_detected",
            18: "no_matching_runner",
            19: "trace_size_exceeded",
            20: "builds_disabled",
            21: "environment_creation_failure",
            22: "deployment_rejected",
            23: "failed_outdated_deployment_job",
            24: "job_execution_server_timeout",
            1000: "protected_environment_failure",
            1001: "insufficient_bridge_permissions",
            1002: "downstream_bridge_project_not_found",
            1003: "invalid_bridge_trigger",
            1004: "upstream_bridge_project_not_found",
            1005: "insufficient_upstream_permissions",
            1006: "bridge_pipeline_is_child_pipeline",
            1007: "downstream_pipeline_creation_failed",
            1008: "secrets_provider_not_found",
            1009: "reached_max_descendant_pipelines_depth",
            1010: "ip_restriction_failure",
            1011: "reached_max_pipeline_hierarchy_size",
            1012: "reached_downstream_pipeline_trigger_rate_limit",
            1013: "duo_workflow_not_allowed",
            1014: "job_router_failure",
            1015: "job_token_expired",
        },
        "unknown_failure",
    ),
    "ci_scheduling_type": _listed("stage dag"),
    "auto_devops_strategy": _listed("continuous manual timed_incremental"),
    "squash_option": _listed("never always default_on default_off"),
    "auto_cancel": _listed("disabled enabled"),
    "list_type": _listed("backlog label closed assignee milestone iteration status"),
    "pipeline_cancel_role": _listed("developer maintainer no_one"),
    "pipeline_vars_role": _listed("no_one_allowed developer maintainer owner", 1),
    "resource_group_mode": _listed("unordered oldest_first newest_first newest_ready_first"),
    "approval_rule_type": _listed("regular code_owner report_approver any_approver"),
    "approval_report_type": _listed(
        "vulnerability license_scanning code_coverage scan_finding any_merge_request", 1
    ),
    "vuln_severity": Enum(
        {1: "info", 2: "unknown", 4: "low", 5: "medium", 6: "high", 7: "critical"},
    ),
    "vuln_report_type": Enum(
        {
            0: "sast",
            1: "dependency_scanning",
            2: "container_scanning",
            3: "dast",
            4: "secret_detection",
            5: "coverage_fuzzing",
            6: "api_fuzzing",
            7: "cluster_image_scanning",
            8: "container_scanning_for_registry",
            99: "generic",
        },
    ),
    "vuln_detection_method": _listed(
        "gitlab_security_report external_security_report bug_bounty code_review security_audit",
    ),
    "imported_from": _listed(
        "none gitlab_migration gitlab_project gitlab_group github bitbucket "
        "bitbucket_server fogbugz gitea git manifest custom_template jira",
    ),
}

ENUM_COLUMNS: Mapping[str, tuple[str, str]] = {
    "approval_project_rules.report_type": ("report_type", "approval_report_type"),
    "approval_project_rules.rule_type": ("rule_type", "approval_rule_type"),
    "design_management_designs_versions.event": ("event", "design_event"),
    "epics.imported_from": ("imported_from", "imported_from"),
    "events.action": ("action", "event_action"),
    "external_pull_requests.status": ("status", "external_pr_status"),
    "issues.health_status": ("health_status", "health_status"),
    "issues.state": ("state_id", "issuable_state"),
    "lists.list_type": ("list_type", "list_type"),
    "merge_request_diffs.diff_type": ("diff_type", "mr_diff_type"),
    "merge_request_reviewers.state": ("state", "reviewer_state"),
    "merge_requests.state": ("state_id", "issuable_state"),
    "notes.imported_from": ("imported_from", "imported_from"),
    "p_ci_builds.failure_reason": ("failure_reason", "ci_job_failure_reason"),
    "p_ci_builds.scheduling_type": ("scheduling_type", "ci_scheduling_type"),
    "p_ci_pipelines.config_source": ("config_source", "ci_config_source"),
    "p_ci_pipelines.failure_reason": ("failure_reason", "ci_pipeline_failure_reason"),
    "p_ci_pipelines.source": ("source", "ci_source"),
    "p_ci_stages.status": ("status", "ci_stage_status"),
    "project_auto_devops.deploy_strategy": ("deploy_strategy", "auto_devops_strategy"),
    "project_ci_cd_settings.pipeline_variables_minimum_override_role": (
        "pipeline_variables_minimum_override_role",
        "pipeline_vars_role",
    ),
    "project_ci_cd_settings.resource_group_default_process_mode": (
        "resource_group_default_process_mode",
        "resource_group_mode",
    ),
    "project_ci_cd_settings.restrict_pipeline_cancellation_role": (
        "restrict_pipeline_cancellation_role",
        "pipeline_cancel_role",
    ),
    "projects.auto_cancel_pending_pipelines": ("auto_cancel_pending_pipelines", "auto_cancel"),
    "project_settings.squash_option": ("squash_option", "squash_option"),
    "projects_branch_rules_squash_options.squash_option": ("squash_option", "squash_option"),
    "push_event_payloads.action": ("action", "push_payload_action"),
    "push_event_payloads.ref_type": ("ref_type", "push_ref_type"),
    "release_links.link_type": ("link_type", "release_link_type"),
    "resource_iteration_events.action": ("action", "add_remove"),
    "resource_label_events.action": ("action", "add_remove"),
    "resource_milestone_events.action": ("action", "add_remove"),
    "resource_milestone_events.state": ("state", "issuable_state"),
    "resource_state_events.state": ("state", "resource_state"),
    "vulnerabilities.report_type": ("report_type", "vuln_report_type"),
    "vulnerabilities.severity": ("severity", "vuln_severity"),
    "vulnerability_occurrences.detection_method": ("detection_method", "vuln_detection_method"),
    "vulnerability_occurrences.report_type": ("report_type", "vuln_report_type"),
    "vulnerability_occurrences.severity": ("severity", "vuln_severity"),
    "work_item_types.base_type": ("base_type", "work_item_base_type"),
    "zoom_meetings.issue_status": ("issue_status", "zoom_status"),
}
"""``table.attribute`` -> (column, enumeration)."""
