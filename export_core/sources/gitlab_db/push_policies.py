"""Security policies that forbid pushing to protected branches: force-pushes are then forbidden, too.

Source: GitLab 18.9 EE, ``ProtectedBranch#allow_force_push`` and the services below ``SecurityOrchestration
Policies`` that it asks: approval policies linked to the project, enabled and enforced, whose setting
``prevent_pushing_and_force_pushing`` is on. Their rules name branches by kind or by pattern.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from export_core.source import Check, CheckStatus
from export_core.sources.gitlab_db.catalog import Catalog
from export_core.sources.gitlab_db.renderings import Rules

if TYPE_CHECKING:
    import psycopg

_APPROVAL_POLICY = 0
_FORBIDDING = (
    f"p.type = {_APPROVAL_POLICY} AND p.enabled"
    " AND p.content->'approval_settings'->>'prevent_pushing_and_force_pushing' = 'true'"
    " AND p.content->>'enforcement_type' IS DISTINCT FROM 'warn'"
)
_RULES = f"""
SELECT r.content::jsonb FROM security_policy_project_links l
JOIN security_policies p ON p.id = l.security_policy_id
JOIN approval_policy_rules r ON r.security_policy_id = p.id
WHERE l.project_id = %s AND r.rule_index >= 0 AND {_FORBIDDING} ORDER BY r.id
"""
_PROJECTS = f"""
SELECT count(DISTINCT l.project_id) FROM security_policy_project_links l
JOIN security_policies p ON p.id = l.security_policy_id WHERE {_FORBIDDING}
"""
_READ = {
    "security_policies": ("id", "type", "enabled", "content"),
    "security_policy_project_links": ("project_id", "security_policy_id"),
    "approval_policy_rules": ("id", "security_policy_id", "rule_index", "content"),
}
_IN_FILES = "scan_result_policies"
"""Before its policies were tables of their own, GitLab read their branches from files in a repository."""
_OF_MERGE_REQUESTS = ("target_default", "target_protected")
"""Kinds of branches that only the source of a merge request can be."""

Rule = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Branches:
    """What the rules ask about a project's branches."""

    full_path: str
    names: Collection[str] | None
    """Of the repository; None where no repository can be read."""
    default: Callable[[], str | None]


def decidable(catalog: Catalog, rules: Rules) -> bool:
    """Whether such policies count, and are tables that can be read."""
    tables = all(catalog.has(table, column) for table, columns in _READ.items() for column in columns)
    return rules.license == "licensed" and not rules.stored and tables


def forbidding(connection: psycopg.Connection[Any], project_id: int) -> list[Rule]:
    """The rules of all policies that forbid pushing to a project's branches."""
    found = connection.execute(_RULES, (project_id,)).fetchall()
    return [content for (content,) in found if isinstance(content, dict)]


def forbidden(rules: Sequence[Rule], name: str, branches: Branches) -> bool:
    """Whether policies forbid pushing to the protected branch, or pattern, of this name."""
    if not rules or (branches.names is not None and not branches.names):
        return False
    included = any(_includes(rule, name, branches) for rule in rules)
    # An exception of one rule counts for all of them.
    return included and not any(_excludes(rule, name, branches.full_path) for rule in rules)


def _includes(rule: Rule, name: str, branches: Branches) -> bool:
    if "branch_type" in rule:
        match rule["branch_type"]:
            case "all":
                return branches.names is None or name in branches.names
            case "protected":
                return True
            case "default":
                return name == branches.default()
            case _:
                return False
    patterns = rule.get("branches")
    return patterns is not None and (patterns == [] or any(matches(pattern, name) for pattern in patterns))


def _excludes(rule: Rule, name: str, full_path: str) -> bool:
    if rule.get("branch_type") in _OF_MERGE_REQUESTS:
        return False
    for exception in rule.get("branch_exceptions") or []:
        pattern = exception
        if isinstance(exception, dict):
            pattern = exception.get("name") if exception.get("full_path") == full_path else None
        if isinstance(pattern, str) and matches(pattern, name):
            return True
    return False


def matches(pattern: str, name: str) -> bool:
    """Whether a name is the pattern's, whose stars stand for anything."""
    if not pattern.strip():
        return False
    return pattern == name or re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name) is not None


def warnings(
    connection: psycopg.Connection[Any],
    catalog: Catalog,
    rules: Rules,
    project_id: int,
    *,
    repository: bool,
) -> list[str]:
    """What cannot be decided exactly for a project. ``repository``: whether its branches can be read."""
    if decidable(catalog, rules):
        kinds = {rule.get("branch_type") for rule in forbidding(connection, project_id)}
        if repository or not kinds & {"all", "default"}:
            return []
        return [
            "protected_branches: security policies forbid pushing to branches that only the repository names,"
            " which is not configured: allow_force_push may differ"
        ]
    if rules.license != "licensed" or rules.stored or not _in_files(connection, catalog, project_id):
        return []
    return [
        "protected_branches: a security policy of this project forbids pushing to branches that this GitLab"
        " keeps in its policy repository: allow_force_push is written as stored"
    ]


def _in_files(connection: psycopg.Connection[Any], catalog: Catalog, project_id: int | None) -> bool:
    if not (catalog.has(_IN_FILES, "project_approval_settings") and catalog.has(_IN_FILES, "project_id")):
        return False
    query = (
        f"SELECT EXISTS (SELECT FROM {_IN_FILES} WHERE (%(id)s::bigint IS NULL OR project_id = %(id)s)"
        " AND project_approval_settings->>'prevent_pushing_and_force_pushing' = 'true')"
    )
    return bool(connection.execute(query, {"id": project_id}).fetchall()[0][0])


def check(connection: psycopg.Connection[Any], catalog: Catalog, rules: Rules) -> Check | None:
    """What doctor says about such policies in the whole instance; None where there are none."""
    title = "security policies"
    if decidable(catalog, rules):
        (count,) = connection.execute(_PROJECTS).fetchall()[0]
        said = f"forbid pushing in {count} projects, and are applied"
        return Check(title, CheckStatus.OK, said) if count else None
    if rules.license == "licensed" and _in_files(connection, catalog, None):
        return Check(
            title,
            CheckStatus.WARNING,
            "forbid pushing to branches that are named in policy repositories, which packmule does not read:"
            " allow_force_push of protected branches is exported as stored",
        )
    return None
