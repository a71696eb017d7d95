"""Rows of a made-up GitLab: every column of every table filled, so that nothing is right by being empty."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from tests.export_core.sources.gitlab_db import ruby_documents, values
from tests.export_core.sources.gitlab_db.facts import Column, Facts

Row = dict[str, Any]

# Read by joins, conditions, orders and rules of relations.json, beside the exported attributes.
READ = {
    "application_settings": "external_authorization_service_default_label default_branch_name",
    "labels": "type",
    "members": "type source_type",
    "merge_request_diff_files": "diff",
    "namespace_settings": "default_branch_name",
    "namespaces": "type name path traversal_ids",
    "note_diff_files": "diff",
    "notes": "type noteable_type st_diff",
    "p_ci_builds": "type",
    "project_repositories": "disk_path",
    "projects": "repository_storage",
    "protected_branches": "name",
    "routes": "path source_type",
    "shards": "name",
    "snippets": "type",
    "users": "username name",
    "badges": "type",
    "events": "target_type",
    "award_emoji": "awardable_type",
    "label_links": "target_type",
    "licenses": "data",
    "uploads": "path model_type uploader mount_point secret",
    "snippet_repositories": "disk_path",
}
_COLORS = ("#6699cc", "#FFFFFF", "#000", "#ff0", "red", "#8fbc8f", "#1F1E24", "not a colour", "#AbCdEf")
_URLS = (
    "https://sentry.example/api/0/projects/my-org_name/the-project",
    "https://sentry.example/api/0/projects/acme/web_front-end/",
    "https://sentry.example/elsewhere",
)
_FRENCH = "Le café coûte cher à l'été, n'est-ce pas? Déjà vu, voilà: où êtes-vous allés? Ça va bien.\n"
DIFFS = (
    "@@ -1 +1 @@\n-a\n+b\n",
    "",
    " \n\t ",
    '+<tag> & "quotes" \\ ü 🦉 \u2028\n',
    "+controls \x01\x02\x1f\n",
)
BINARY_DIFFS = (
    base64.b64encode("@@ binary as UTF-8: ü\n".encode()).decode(),
    base64.b64encode(b"with NUL \x00 and tab\t\n").decode(),
    "not base64: ü!",
    base64.b64encode(_FRENCH.encode("latin-1")).decode(),
    base64.b64encode(b"abcd").decode() + "\n",
    "YR==",
    "YWJj=",
    base64.b64encode(b" \n ").decode(),
    "",
)


class World:
    """Rows by table. ``add`` fills what it is not told."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.rows: dict[str, list[Row]] = {table: [] for table in facts.tables}
        self.secrets = values.Secrets()
        self.diff_files: dict[tuple[int, int], bytes] = {}
        """External diff files by (merge request, diff)."""
        self._open = _open_columns(facts)
        self._enums = _enum_columns(facts)
        self._filled = 0

    def add(self, table: str, **told: Any) -> Row:
        """A new row with an id of its own unless one is told."""
        number = len(self.rows[table])
        row: Row = {}
        for place, column in enumerate(self.facts.tables[table]):
            if column.name in told:
                row[column.name] = told[column.name]
            elif column.key and column.name == "id":
                row["id"] = number + 1
            else:
                row[column.name] = self._value(table, column, number, place)
        self._special(table, row, number, told)
        self.rows[table].append(row)
        return row

    def _value(self, table: str, column: Column, number: int, place: int) -> Any:
        secret = (table, column.name) not in self._open and values.can_hold_secret(column)
        if secret:
            return self.secrets.value(table, column)
        if column.nullable and (number + place) % 4 == 3:
            return None
        numbers = self._enums.get((table, column.name))
        if numbers:
            return numbers[(number + place) % len(numbers)]
        if column.name.endswith("_id"):
            return 1 + (number + place) % 5
        self._filled += 1
        return values.value(column, number + place)

    def _special(self, table: str, row: Row, number: int, told: Mapping[str, Any]) -> None:
        special = {
            "labels": _label,
            "notes": _note,
            "merge_requests": _merge_request,
            "project_error_tracking_settings": _error_tracking,
            "merge_request_diff_files": _diff_file,
        }.get(table)
        if special:
            row.update({name: value for name, value in special(row, number).items() if name not in told})


def _open_columns(facts: Facts) -> set[tuple[str, str]]:
    found = {(table, name) for table, names in READ.items() for name in names.split()}
    for _, node in facts.nodes():
        for attribute in node["attributes"]:
            for name in (attribute.get("column"), attribute["name"]):
                found.add((attribute.get("table", node["table"]), name))
    return found | {("projects", "project_namespace_id")}


def _enum_columns(facts: Facts) -> dict[tuple[str, str], list[int]]:
    """Known numbers and one that no enumeration knows."""
    found = {}
    for _, node in facts.nodes():
        for attribute in node["attributes"]:
            if "enum" in attribute["render"]:
                place = (attribute.get("table", node["table"]), attribute.get("column") or attribute["name"])
                found[place] = [*facts.numbers(attribute["render"]["enum"]), 77]
    return found


def _label(_: Row, number: int) -> Row:
    return {"color": None if number % 7 == 4 else _COLORS[number % len(_COLORS)]}


def _note(row: Row, number: int) -> Row:
    kinds = (None, "DiffNote", "DiscussionNote", "DiffNote", "LegacyDiffNote", "Note", "DiffNote")
    kind = kinds[number % len(kinds)]
    changed: Row = {"type": kind, "discussion_id": (f"{number:040x}", None, "  ", " kept ")[number % 4]}
    places = list(ruby_documents.POSITIONS)
    for shift, name in enumerate(("position", "original_position", "change_position")):
        if kind == "DiffNote":
            index = number + shift
            changed[name] = None if index % 11 == 10 else places[index % len(places)]
        else:
            changed[name] = (None, "raw <text>\x01\x02")[number % 2]
    if kind == "LegacyDiffNote":
        legacy = list(ruby_documents.LEGACY_DIFFS)
        changed["st_diff"] = (*legacy, None)[number % 3]
    return changed


def _merge_request(_: Row, number: int) -> Row:
    params = list(ruby_documents.MERGE_PARAMS)
    return {"merge_params": None if number % 5 == 4 else params[number % len(params)]}


def _error_tracking(_: Row, number: int) -> Row:
    names = (None, "named") if number % 2 == 0 else ("named too", None)
    url = _URLS[number % len(_URLS)]
    return {"api_url": url, "project_name": names[0], "organization_name": names[1]}


def _diff_file(row: Row, number: int) -> Row:
    binary = number % 3 == 1
    texts = BINARY_DIFFS if binary else DIFFS
    paths = (None, "", "  ", " lib/blank.rb", "lib/a.rb", "lib/b.rb")
    diff = None if number % 13 == 12 else texts[number // 3 % len(texts)]
    return {
        "binary": True if binary else (False, None)[number % 2],
        "diff": diff,
        "new_path": paths[number % 6],
    }
