"""The tables that an export looks at: those of the tree, and those around it."""

from __future__ import annotations

from export_core.gitlab.tree import RELATIONS, ROOT

_AROUND = (
    "application_settings fork_network_members group_merge_request_approval_settings lfs_objects"
    " lfs_objects_projects licenses members merge_request_commits_metadata namespace_settings namespaces"
    " organization_push_rules pool_repositories project_repositories project_settings protected_branches"
    " routes schema_migrations shards snippet_repositories uploads users vulnerability_occurrence_identifiers"
    " approval_policy_rules scan_result_policies security_policies security_policy_project_links"
)

TABLES: list[str] = sorted(
    {node.table for root in (ROOT, *RELATIONS) for _, node in root.walk()} | set(_AROUND.split())
)
