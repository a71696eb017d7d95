"""How a single value becomes JSON: SQL expressions by column type, and the exceptions by name.

Every function returns an expression of type text whose value is a JSON text, or SQL NULL for a JSON null.
Sources of the formats: ActiveSupport's JSON encoding (times with milliseconds, truncated), GitLab's models
and presenters for the exceptions. Values that SQL cannot make are wrapped in a marker that
``values.Resolver`` replaces: U+0001, a kind, a JSON value, U+0002; neither sign occurs raw in JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from export_core.gitlab.enums import ENUM_COLUMNS, ENUMS
from export_core.gitlab.tree import PROJECT_SETTINGS_ATTRIBUTES
from export_core.sources.gitlab_db.catalog import Catalog

PROJECT = "%(project)s::bigint"
"""The statements' parameter: the exported project's id."""
_TIMESTAMP = '\'\\"YYYY-MM-DD"T"HH24:MI:SS.MS"Z\\""\''


@dataclass(frozen=True, slots=True)
class Rules:
    """What rendering depends on besides the columns."""

    stored: bool = False
    """Columns as they are, for the embedded instance: its rows come from archives, already rendered."""
    license: str = "ce"
    """``ce`` (plain columns), ``free`` (EE without a licence) or ``licensed``."""
    pages_https: bool = False
    """Whether GitLab Pages is served over https (gitlab.yml)."""
    container_registry: bool = True
    """Whether the container registry is on (gitlab.yml)."""
    description: str | None = None
    """Of the project, in place of its own, for one export."""
    drop_commit_messages: bool = False
    """Feature flag disable_message_attribute_on_mr_diff_commits."""


@dataclass(frozen=True, slots=True)
class Renderer:
    """Renders the attributes of one database."""

    catalog: Catalog
    rules: Rules = field(default_factory=Rules)
    exceptions: Mapping[str, Rule] = field(default_factory=dict)
    """``table.attribute`` -> how it is rendered, for all that its column alone does not tell."""

    def attribute(self, table: str, attribute: str, alias: str) -> str | None:
        """The expression of an attribute for rows called ``alias``; None when its column is missing."""
        rule = self.exceptions.get(f"{table}.{attribute}")
        if rule is not None:
            return rule(self, alias)
        if table == "projects" and attribute in PROJECT_SETTINGS_ATTRIBUTES:
            return self._project_setting(attribute, alias)
        return self.column(table, attribute, alias)

    def column(self, table: str, attribute: str, alias: str) -> str | None:
        """An attribute rendered by its column's type or enumeration alone."""
        column, enum = ENUM_COLUMNS.get(f"{table}.{attribute}", (attribute, None))
        type_name = self.catalog.type(table, column)
        if type_name is None:
            return None
        value = f"{alias}.{column}"
        if enum is not None and type_name in ("smallint", "integer", "bigint"):
            return enum_words(enum, value)
        return typed(type_name, value)

    def default(self, table: str, column: str, alias: str, sql: str) -> str | None:
        """A column, or the text of ``sql`` (a JSON text) where it is NULL."""
        rendered = self.column(table, column, alias)
        return None if rendered is None else f"coalesce({rendered}, {sql})"

    def _project_setting(self, attribute: str, alias: str) -> str | None:
        inner = self.column("project_settings", attribute, "s")
        if inner is None:
            return None
        without_row = (
            "'\"default_off\"'" if attribute == "squash_option" and not self.rules.stored else "NULL"
        )
        found = f"(SELECT coalesce({inner}, 'null') FROM project_settings s WHERE s.project_id = {alias}.id)"
        return f"coalesce({found}, {without_row})"


Rule = Callable[[Renderer, str], str | None]


def typed(type_name: str, value: str) -> str:
    """A value rendered by its PostgreSQL type."""
    if type_name.endswith("[]") or type_name in ("text", "character varying", "character", "uuid", "citext"):
        return f"to_json({value})::text"
    if type_name.startswith("timestamp"):
        return f"to_char({value}, {_TIMESTAMP})"
    if type_name == "date":
        return f"to_char({value}, '\\\"YYYY-MM-DD\\\"')"
    if type_name == "bytea":
        return f"('\"' || encode({value}, 'hex') || '\"')"
    if type_name in ("double precision", "real"):
        # Ruby always writes a decimal point, and null for what JSON cannot say.
        finite = f"{value} NOT IN ('NaN', 'Infinity', '-Infinity')"
        return f"CASE WHEN {finite} THEN regexp_replace({value}::text, '^(-?[0-9]+)(e|$)', '\\1.0\\2') END"
    if type_name == "numeric":
        return f"to_json({value}::text)::text"
    return f"{value}::text"


def enum_words(enum: str, value: str) -> str:
    """A number as its word; an unknown number is null."""
    declared = ENUMS[enum]
    cases = " ".join(f"WHEN {number} THEN '\"{word}\"'" for number, word in declared.words.items())
    words = f"CASE {value} {cases} END"
    if declared.null_word is None:
        return words
    return f"CASE WHEN {value} IS NULL THEN '\"{declared.null_word}\"' ELSE {words} END"


def marker(kind: str, sql: str) -> str:
    """``sql`` (a JSON text) handed to ``values.Resolver``; NULL stays NULL."""
    return f"(E'\\x01{kind}' || {sql} || E'\\x02')"
