"""What GitLab prints where there is no row, and what it leaves out although there is one.

Source: GitLab 18.9, ``MergeRequest#merge_request_diff`` (an unsaved diff instead of none),
``Board#milestone`` (milestones that are no rows) and the licence checks of EE's models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from export_core.gitlab.tree import Node
from export_core.sources.gitlab_db.renderings import Renderer, Rules

# GitLab's Milestone::None, Any, Upcoming and Started.
_BUILT_IN_MILESTONES = {
    0: {"title": "No Milestone", "name": "No Milestone", "id": 0},
    -1: {"title": "Any Milestone", "name": "", "id": -1},
    -2: {"title": "Upcoming", "name": "#upcoming", "id": -2},
    -3: {"title": "Started", "name": "#started", "id": -3},
}
_UNSAVED_DIFF: Mapping[str, object] = {
    "state": "empty",
    "files_count": 0,
    "sorted": False,
    "diff_type": "regular",
}
_LICENSED = frozenset({("projects", "push_rule"), ("boards", "milestone")})
"""(parent's table, relation) that GitLab without a licence does not export."""


def without_license(rules: Rules, parent_table: str, relation: str) -> bool:
    """Whether a relation is left out for want of a licence."""
    return rules.license == "free" and not rules.stored and (parent_table, relation) in _LICENSED


def object_or_stand_in(renderer: Renderer, node: Node, child: Node, t: str, found: str) -> str:
    """The JSON of a single object, or of what stands for it where there is none."""
    if (node.table, child.name) == ("boards", "milestone"):
        cases = " ".join(f"WHEN {id} THEN '{_compact(value)}'" for id, value in _BUILT_IN_MILESTONES.items())
        return f"coalesce({found}, CASE {t}.milestone_id {cases} END)"
    if child.table == "merge_request_diffs" and not renderer.rules.stored:
        return f"coalesce({found}, '{_unsaved(renderer, child)}')"
    return found


def _unsaved(renderer: Renderer, node: Node) -> str:
    known = [name for name in node.attributes if renderer.attribute(node.table, name, "t") is not None]
    attributes = {name: _UNSAVED_DIFF.get(name) for name in known}
    return _compact({**attributes, **{child.name: [] for child in node.children if child.many}})


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
