"""Archived values on their way back into columns: the inverse of ``gitlab_db.renderings``.

A converter takes a JSON value that is not null and gives what COPY sends. None stands for: as it is.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from export_core.gitlab.enums import ENUM_COLUMNS, ENUMS
from export_core.gitlab.schema import Column, tables
from export_core.sources.embedded import loader_yaml
from export_core.sources.embedded.loader_ids import Ids
from export_core.sources.embedded.loader_report import LoadReport

Converter = Callable[[Any], Any]
Rule = Callable[[Mapping[str, Any]], Any]

USERS = frozenset(
    "author_id user_id updated_by_id last_edited_by_id closed_by_id resolved_by_id merge_user_id merged_by_id"
    " latest_closed_by_id created_by_id assignee_id owner_id".split()
)
"""Columns that refer to users, in every table."""
GROUPS = frozenset(("group_id", "namespace_id"))
_CONSTANT = re.compile(r"'((?:[^']|'')*)'::.*")


def stored_in(table: str, attribute: str) -> str | None:
    """The column that holds an attribute; None when it is computed from other rows."""
    if (table, attribute) in _RENAMED:
        return _RENAMED[table, attribute]
    column = ENUM_COLUMNS.get(f"{table}.{attribute}", (attribute, ""))[0]
    return column if column in tables()[table].columns else None


_RENAMED = {
    ("merge_request_diff_files", "utf8_diff"): "diff",
    ("note_diff_files", "diff_export"): "diff",
}


def converter(table: str, attribute: str, ids: Ids, report: LoadReport) -> Converter | None:
    """How values of an attribute become values of its column."""
    column = stored_in(table, attribute) or attribute
    kind = tables()[table].columns[column].type
    enum = ENUM_COLUMNS.get(f"{table}.{attribute}")
    if enum is not None:
        return _enum(f"{table}.{attribute}", enum[1], report)
    if kind in ("bigint", "integer") and (attribute == "id" or attribute.endswith("_id")):
        return _id(table, attribute, ids)
    return _BY_TYPE.get(kind)


def _id(table: str, attribute: str, ids: Ids) -> Converter:
    if attribute in USERS or table == "users":
        return ids.user
    if attribute in GROUPS:
        return ids.group
    if (table, attribute) == ("p_ci_builds", "commit_id"):
        return ids.pipeline
    return ids.shift


def _enum(name: str, enum: str, report: LoadReport) -> Converter:
    numbers: dict[Any, int | None] = {word: number for number, word in ENUMS[enum].words.items()}
    numbers |= {number: number for number in ENUMS[enum].words}
    if ENUMS[enum].null_word is not None:
        numbers[ENUMS[enum].null_word] = None

    def convert(word: Any) -> int | None:
        try:
            return numbers[word]
        except (KeyError, TypeError):
            report.warn(f"{name}: GitLab 18.9 does not know {word!r}; left empty")
            return None

    return convert


def null_of(table: str, attribute: str) -> int | None:
    """What stands for an archived null: where GitLab shows a word for NULL, a number that has no word."""
    enum = ENUM_COLUMNS.get(f"{table}.{attribute}")
    return -1 if enum is not None and ENUMS[enum[1]].null_word is not None else None


def utc(time: str) -> str:
    """A time for a column without zone: those of other zones are turned into UTC."""
    if time.endswith("Z"):
        return time
    moment = datetime.fromisoformat(time)
    return time if moment.tzinfo is None else moment.astimezone(UTC).isoformat()


def _bytes(digits: str) -> str:
    return "\\x" + digits


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


_BY_TYPE: Mapping[str, Converter] = {
    "timestamp without time zone": utc,
    "bytea": _bytes,
    "jsonb": _json,
}


def default(column: Column, now: str) -> Any:
    """The column's own default, for attributes that an archive lacks: older versions know fewer."""
    text = column.default
    if text is None or text.startswith("nextval("):
        return None
    if text in ("true", "false"):
        return text == "true"
    if text == "now()":
        return now
    constant = _CONSTANT.fullmatch(text)
    return constant[1].replace("''", "'") if constant else text


# Values that depend on more than themselves ------------------------------------------------------------


def _position(column: str) -> Rule:
    def rule(note: Mapping[str, Any]) -> Any:
        value = note[column]
        return loader_yaml.position(value) if isinstance(value, dict) and value else _yaml(value)

    return rule


def _st_diff(note: Mapping[str, Any]) -> Any:
    return _yaml(note["st_diff"])


def _yaml(value: Any) -> str | None:
    """Text as it is, unless it could be taken for YAML; all else as YAML, which begins with a mark."""
    if value is None or (isinstance(value, str) and not value.startswith("---")):
        return value
    return loader_yaml.document(value, symbols=True)


def _merge_params(merge_request: Mapping[str, Any]) -> str | None:
    value = merge_request["merge_params"]
    return loader_yaml.document(value) if isinstance(value, dict) else _yaml(value)


def _utf8_diff(file: Mapping[str, Any]) -> str | None:
    diff = file["utf8_diff"]
    # GitLab keeps diffs that are not UTF-8 as base64 and says so in ``binary``.
    return base64.b64encode(diff.encode()).decode() if diff and file.get("binary") else diff


RULES: Mapping[tuple[str, str], Rule] = {
    ("notes", "position"): _position("position"),
    ("notes", "original_position"): _position("original_position"),
    ("notes", "change_position"): _position("change_position"),
    ("notes", "st_diff"): _st_diff,
    ("merge_requests", "merge_params"): _merge_params,
    ("merge_request_diff_files", "utf8_diff"): _utf8_diff,
}
"""(table, attribute) -> its column's value, out of the whole record (which has the attribute)."""
