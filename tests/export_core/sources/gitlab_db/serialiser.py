"""An export written down once more from relations.json, in plain Python and without the product's tree."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.export_core.sources.gitlab_db.facts import Facts, JsonNode
from tests.export_core.sources.gitlab_db.plain_tables import PlainTables, Row

_EQUALS = re.compile(r"\w+\.(\w+) = '([^']+)'")
_LAST = "\U0010ffff"
_BUILT_IN = {
    0: {"title": "No Milestone", "name": "No Milestone", "id": 0},
    -1: {"title": "Any Milestone", "name": "", "id": -1},
    -2: {"title": "Upcoming", "name": "#upcoming", "id": -2},
    -3: {"title": "Started", "name": "#started", "id": -3},
}


@dataclass(slots=True)
class Context:
    """One project of one GitLab, and what its configuration says."""

    tables: PlainTables
    facts: Facts
    project: Row
    license: str = "ce"
    pages_https: bool = False
    container_registry: bool = True
    drop_commit_messages: bool = False
    as_user: str | None = None
    branches: Mapping[tuple[int, str], str] = field(default_factory=dict)
    """(project id, branch) to commit, of the repositories on disk."""
    head: str | None = None
    """The branch that HEAD of the project's repository names."""
    diff_files: Mapping[tuple[int, int], bytes] = field(default_factory=dict)


Rule = Callable[[Row, Context], Any]


class Serialiser:
    """``rules``: (table, attribute) to what relations.json says under ``how``."""

    def __init__(self, context: Context, rules: Mapping[tuple[str, str], Rule]) -> None:
        self._context = context
        self._rules = rules

    def root(self) -> Any:
        """The object of project.json."""
        return self._attributes(self._context.facts.root, self._context.project)

    def relation(self, name: str) -> list[Any] | Any | None:
        """The lines of a list, or the object (None: the word null)."""
        node = next(node for node in self._context.facts.relations if node["name"] == name)
        if not node["join"]:
            return None
        rows = self._rows(node, self._context.project)
        if name == "project_members":
            rows += self._inherited_members(rows)
        if node["cardinality"] == "list":
            return [self._object(node, row) for row in rows]
        if not rows or (name == "push_rule" and self._context.license == "free"):
            return None
        return self._object(node, rows[0])

    def _object(self, node: JsonNode, row: Row) -> dict[str, Any]:
        found = self._attributes(node, row)
        for child in node.get("children", []):
            if readable(self._context.tables, child):
                self._child(found, node, child, row)
        return found

    def _child(self, found: dict[str, Any], node: JsonNode, child: JsonNode, row: Row) -> None:
        name = child["name"]
        if (node["table"], name) == ("boards", "milestone"):
            if self._context.license == "free":
                return
            if row["milestone_id"] in _BUILT_IN:
                found[name] = _BUILT_IN[row["milestone_id"]]
                return
        rows = self._rows(child, row)
        if child["cardinality"] == "list":
            found[name] = [self._object(child, inner) for inner in rows]
        elif rows:
            found[name] = self._object(child, rows[0])
        elif name == "merge_request_diff":
            found[name] = self._unsaved_diff(child)

    def _unsaved_diff(self, node: JsonNode) -> dict[str, Any]:
        tables = self._context.tables
        known = [a["name"] for a in node["attributes"] if has_attribute(tables, node, a)]
        values = {"state": "empty", "files_count": 0, "sorted": False, "diff_type": "regular"}
        lists: dict[str, Any] = {child["name"]: [] for child in node["children"]}
        return lists | {name: values.get(name) for name in known}

    def _rows(self, node: JsonNode, parent: Row) -> list[Row]:
        rows = self._linked(node, parent)
        for condition in node.get("where") or []:
            rows = [row for row in rows if self._holds(condition, row, parent)]
        if node["table"] == "merge_request_diff_commits":
            rows = [self._overlaid(row) for row in rows]
        return sorted(rows, key=_order(node))

    def _linked(self, node: JsonNode, parent: Row) -> list[Row]:
        tables = self._context.tables
        found = [parent]
        for join in node["join"]:
            found = [
                row
                for holder in found
                for row in tables.where(
                    join["child_table"], join["child_column"], holder.get(join["parent_column"])
                )
            ]
        return found

    def _holds(self, condition: str, row: Row, parent: Row) -> bool:
        if found := _EQUALS.fullmatch(condition):
            return bool(row[found[1]] == found[2])
        project = self._context.project["id"]
        special: dict[str, Callable[[], bool]] = {
            "members.requested_at IS NULL": lambda: row["requested_at"] is None,
            "merge_request_diffs.diff_type = 1": lambda: row.get("diff_type", 1) == 1,
            "merge_request_commits_metadata.project_id = project of the diff"
            " (merge_request_diffs.merge_request_id -> merge_requests.target_project_id)": lambda: (
                row["project_id"] == project
            ),
            "(p_ci_pipelines.source IS NULL OR p_ci_pipelines.source IN (1,2,3,4,5,6,7,8,10,11))": lambda: (
                row["source"] in (None, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11)
            ),
            "p_ci_stages.partition_id = p_ci_pipelines.partition_id": lambda: (
                row.get("partition_id") == parent.get("partition_id")
            ),
            "p_ci_builds.partition_id = p_ci_stages.partition_id": lambda: (
                row.get("partition_id") == parent.get("partition_id")
            ),
            "protected_branch_push_access_levels.deploy_key_id IS NULL": lambda: (
                row.get("deploy_key_id") is None
            ),
            "(approval_project_rules.report_type IS NULL"
            " OR approval_project_rules.report_type NOT IN (2,4,5))": lambda: (
                row.get("report_type") not in (2, 4, 5)
            ),
        }
        return special[condition]()

    def _overlaid(self, row: Row) -> Row:
        """A commit whose data moved to another table; where that row is gone, its own."""
        known = self._context.tables.where(
            "merge_request_commits_metadata", "id", row.get("merge_request_commits_metadata_id")
        )
        moved = next((found for found in known if found["project_id"] == self._context.project["id"]), None)
        names = ("authored_date", "committed_date", "sha", "message", "commit_author_id", "committer_id")
        return row if moved is None else {**row, **{name: moved[name] for name in names}}

    def _attributes(self, node: JsonNode, row: Row) -> dict[str, Any]:
        found = {}
        for attribute in node["attributes"]:
            name = attribute["name"]
            rule = self._rules.get((node["table"], name))
            if has_attribute(self._context.tables, node, attribute):
                column = attribute.get("column") or name
                found[name] = rule(row, self._context) if rule else self.rendered(attribute, row[column])
        return found

    def rendered(self, attribute: JsonNode, value: Any) -> Any:
        """A column's value as the facts' ``renderings`` tell."""
        render = attribute["render"]
        if render["as"] == "enum":
            return enum_word(self._context.facts, render["enum"], value)
        if value is None:
            return None
        types: dict[str, Callable[[Any], Any]] = {
            "timestamp": timestamp,
            "date": day,
            "hex": bytes.hex,
            "float": number,
        }
        kind = attribute.get("pg_type") or ""
        how = render["as"]
        if how == "column_with_fallback":
            how = (
                {"t": "timestamp", "b": "hex"}.get(kind[:1], how)
                if kind.startswith(("timestamp", "bytea"))
                else how
            )
        return types[how](value) if how in types else value

    def _inherited_members(self, own: list[Row]) -> list[Row]:
        tables, project = self._context.tables, self._context.project
        namespace = tables.one("namespaces", "id", project["namespace_id"])
        if namespace is None or namespace["type"] != "Group" or not self._may_see(namespace["traversal_ids"]):
            return []
        members: dict[tuple[Any, Any], Row] = {}
        for row in tables.rows("members"):
            fits = (
                row["source_type"] == "Namespace"
                and row["type"] == "GroupMember"
                and row["requested_at"] is None
            )
            if not fits or row["source_id"] not in namespace["traversal_ids"] or row["access_level"] <= 5:
                continue
            key = (row["user_id"], row["invite_email"])
            best = members.get(key)
            if best is None or _rank(row, namespace["id"]) < _rank(best, namespace["id"]):
                members[key] = row
        taken = {row["user_id"] for row in own if row["user_id"] is not None}
        chosen = [
            row
            for row in members.values()
            if (row["user_id"] not in taken if row["user_id"] is not None else not taken)
        ]
        return sorted(chosen, key=lambda row: row["id"])

    def _may_see(self, groups: list[int]) -> bool:
        if self._context.as_user is None:
            return True
        user = self._context.tables.one("users", "username", self._context.as_user)
        assert user is not None
        return user["admin"] or any(
            row["source_id"] in groups and row["access_level"] == 50 and row["source_type"] == "Namespace"
            for row in self._context.tables.where("members", "user_id", user["id"])
            if row["requested_at"] is None
        )


def _rank(row: Row, own_group: int) -> tuple[Any, ...]:
    role = row.get("member_role_id")
    expiry = row["expires_at"] or ""
    return (
        -row["access_level"],
        row["source_id"] != own_group,
        role is None,
        role or 0,
        bool(expiry),
        [-ord(letter) for letter in expiry],
        row["created_at"],
        row["id"],
    )


def _order(node: JsonNode) -> Callable[[Row], tuple[Any, ...]]:
    stated = node.get("order") or "id"
    orders: dict[str, Callable[[Row], tuple[Any, ...]]] = {
        "relative_position ASC NULLS LAST, id ASC": lambda row: (
            *_nulls_last(row["relative_position"]),
            row["id"],
        ),
        "created_at ASC NULLS LAST, id ASC": lambda row: (*_nulls_last(row["created_at"]), row["id"]),
        "relative_order": lambda row: (row["relative_order"],),
        "position": lambda row: (*_nulls_last(row["position"]), row["id"]),
        "list_type, position": lambda row: (row["list_type"], *_nulls_last(row["position"]), row["id"]),
    }
    if stated in orders:
        return orders[stated]
    if stated.startswith("id DESC"):
        return lambda row: (-row["id"],)
    key = stated.split(" ", 1)[0]
    if key in ("user_id", "milestone_id", "protected_branch_id"):
        return lambda row: (row[key],)
    return lambda row: (row.get("id") or 0,)


def _nulls_last(value: Any) -> tuple[bool, Any]:
    return (value is None, 0 if value is None else value)


def enum_word(facts: Facts, name: str, value: int | None) -> str | None:
    """A number's word."""
    enum = facts.enums[name]
    found: str | None = enum["sql_null"] if value is None else enum["values"].get(str(value))
    return found


def timestamp(value: str | None) -> str | None:
    """``2024-02-29 12:34:56.1234[+00]`` with three digits, cut off."""
    if value is None or "infinity" in value:
        return None
    date, time = value.removesuffix("+00").split(" ")
    clock, _, fraction = time.partition(".")
    return f"{date}T{clock}.{fraction:0<3.3}Z"


def day(value: str) -> str | None:
    """A date."""
    return None if "infinity" in value else value


def number(value: str) -> float | None:
    """A float."""
    return None if value in ("NaN", "Infinity", "-Infinity") else float(value)


def readable(tables: PlainTables, node: JsonNode) -> bool:
    """Whether a database has what links a child to its parent; an older GitLab may not."""
    joins = node["join"] if isinstance(node["join"], list) else []
    keys = [(join["parent_table"], join["parent_column"]) for join in joins]
    keys += [(join["child_table"], join["child_column"]) for join in joins]
    return all(tables.has(*key) for key in keys)


def has_attribute(tables: PlainTables, node: JsonNode, attribute: JsonNode) -> bool:
    """Whether a database has the column that an attribute is made of."""
    column = attribute.get("column")
    return column is None or tables.has(attribute.get("table", node["table"]), column)


def lacking(facts: Facts, tables: PlainTables) -> set[str]:
    """Paths of all relations and attributes that a database does not have; not what lies below them."""
    found: set[str] = set()
    for path, node in facts.nodes():
        if any(path.startswith(f"{gone}.") for gone in found):
            continue
        if not readable(tables, node):
            found.add(path)
            continue
        attributes = node["attributes"]
        found |= {f"{path}.{a['name']}" for a in attributes if not has_attribute(tables, node, a)}
    return found
