"""``tree/project.json`` becomes columns of the project and of its settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from export_core.archive_reader import Extracted
from export_core.errors import ArchiveInvalid
from export_core.gitlab import layout
from export_core.gitlab.ddl import KEPT_COLUMN, quoted
from export_core.gitlab.schema import tables
from export_core.gitlab.tree import KEPT_ATTRIBUTES, PROJECT_SETTINGS_ATTRIBUTES, ROOT
from export_core.sources.embedded.loader_report import SEE_VERIFY
from export_core.sources.embedded.loader_tree import TreeLoader
from export_core.sources.embedded.loader_values import converter, stored_in
from export_core.sources.gitlab_db.connections import reason

if TYPE_CHECKING:
    import psycopg


def load_project(
    connection: psycopg.Connection[Any], archive: Extracted, project_id: int, tree: TreeLoader
) -> str | None:
    """Set the project's attributes; the name of its default branch when the archive tells it.

    Raises ArchiveInvalid when there is no valid object.
    """
    record = _record(archive)
    for key in record.keys() - set(ROOT.attributes):
        tree.report.unknown_keys[f"project.{key}"] += 1
    settings = {key: value for key, value in record.items() if key in PROJECT_SETTINGS_ATTRIBUTES}
    kept: dict[str, Any] = {key: record[key] for key in KEPT_ATTRIBUTES["projects"] if key in record}
    if tree.told:
        kept["lines"] = {name: tree.lines[name] for name in sorted(tree.told)}
    own = {
        key: value
        for key, value in record.items()
        if key in ROOT.attributes and key not in settings and key not in kept
    }
    columns = _columns("projects", own, tree) | {KEPT_COLUMN: json.dumps(kept) if kept else None}
    _update(connection, "projects", ("id", project_id), columns)
    _update(
        connection,
        "project_settings",
        ("project_id", project_id),
        _columns("project_settings", settings, tree),
    )
    tree.report.relations = {"project": 1} | tree.report.relations
    branch = record.get("default_branch")
    return branch if isinstance(branch, str) else None


def _record(archive: Extracted) -> dict[str, Any]:
    try:
        record = json.loads((archive.root / layout.ROOT_OBJECT).read_bytes())
    except (ValueError, RecursionError) as exc:
        raise ArchiveInvalid(f"{layout.ROOT_OBJECT} is not valid JSON: {exc}", hint=SEE_VERIFY) from exc
    if not isinstance(record, dict):
        raise ArchiveInvalid(f"{layout.ROOT_OBJECT} is not a JSON object", hint=SEE_VERIFY)
    return record


def _columns(table: str, record: Mapping[str, Any], tree: TreeLoader) -> dict[str, Any]:
    columns = {}
    for key, value in record.items():
        convert = converter(table, key, tree.ids, tree.report)
        column = stored_in(table, key)
        if column is not None:
            columns[column] = value if value is None or convert is None else convert(value)
    return columns


def _update(
    connection: psycopg.Connection[Any], table: str, row: tuple[str, int], columns: Mapping[str, Any]
) -> None:
    import psycopg

    if not columns:
        return
    declared = tables()[table].columns
    kinds = {name: declared[name].type if name in declared else "jsonb" for name in columns}
    sets = ", ".join(f"{quoted(name)} = %s::text::{kinds[name]}" for name in columns)
    values = [None if value is None else str(value) for value in columns.values()]
    try:
        connection.execute(f"UPDATE {table} SET {sets} WHERE {row[0]} = %s", (*values, row[1]))
    except psycopg.DataError as exc:
        raise ArchiveInvalid(
            f"{layout.ROOT_OBJECT} cannot be loaded: {reason(exc)}", hint=SEE_VERIFY
        ) from exc
