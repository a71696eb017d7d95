"""Every kind of source, in one literal dict. A source is added by writing its folder and one entry here.

A kind's module is imported only when a source of that kind is used. It has one function::

    def build(name: str, settings: Mapping[str, Any], home: Home) -> Source

``name`` may be shown; ``settings`` are those of config.toml or of a URL (``{"url": ...}``), and may hold
secrets; ``home`` is where packmule keeps its own data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

from export_core.errors import UsageError
from export_core.source import Source
from export_core.workspace import Home


@dataclass(frozen=True, slots=True)
class SourceKind:
    """Where the code of a kind of source is, and which settings it understands."""

    module: str
    settings: frozenset[str]
    extra: str | None = None
    """The extra of packmule (``pip install packmule[...]``) that it needs."""
    export_options: frozenset[str] = frozenset()
    """What it understands among the options of a single export (``Source.open``)."""


_GITLAB_DB = (
    "url database ci_database sec_database password_env password_keyring repositories uploads shared"
    " lfs_objects external_diffs object_storage gitlab_version gitlab_revision license pages_https"
    " container_registry drop_commit_messages max_db_load pause"
)
_GROWI = "url database token token_env wiki_url uploads attachments rewrite_links front_matter trash drafts"

_GITLAB_EXPORT = frozenset({"as_user", "allow_missing", "description", "max_db_load", "pause"})
_GROWI_EXPORT = frozenset(
    {"as_user", "allow_missing", "include_trash", "include_drafts", "front_matter", "attachments"}
)

SOURCES: Mapping[str, SourceKind] = {
    "embedded": SourceKind("export_core.sources.embedded", frozenset(), "embedded", _GITLAB_EXPORT),
    "gitlab-db": SourceKind(
        "export_core.sources.gitlab_db", frozenset(_GITLAB_DB.split()), None, _GITLAB_EXPORT
    ),
    "omnibus": SourceKind(
        "export_core.sources.gitlab_db.omnibus",
        frozenset({"root", *_GITLAB_DB.split()} - {"url"}),
        None,
        _GITLAB_EXPORT,
    ),
    "growi": SourceKind("export_core.sources.growi", frozenset(_GROWI.split()), "growi", _GROWI_EXPORT),
}


def check_settings(kind: str, settings: Mapping[str, Any]) -> None:
    """Raise UsageError when a kind does not exist or does not know one of the settings."""
    if kind not in SOURCES:
        raise UsageError(f"there is no kind of source named {kind!r}", hint=f"kinds: {', '.join(SOURCES)}")
    known = SOURCES[kind].settings
    for key in settings:
        if key not in known:
            names = ", ".join(sorted(known)) or "none"
            raise UsageError(f"a source of kind {kind} has no setting {key!r}", hint=f"its settings: {names}")


def build(kind: str, name: str, settings: Mapping[str, Any], home: Home) -> Source:
    """The source of a kind with these settings. Raises UsageError when a setting or a package is missing."""
    check_settings(kind, settings)
    entry = SOURCES[kind]
    try:
        return cast(Source, import_module(entry.module).build(name, settings, home))
    except ModuleNotFoundError as exc:
        raise _missing(kind, entry, exc) from exc


def _missing(kind: str, entry: SourceKind, exc: ModuleNotFoundError) -> UsageError:
    if exc.name and entry.module.startswith(exc.name):
        return UsageError(f"this version of packmule has no source of kind {kind}")
    hint = f"pip install 'packmule[{entry.extra}]'" if entry.extra else f"pip install {exc.name}"
    return UsageError(f"a source of kind {kind} needs the Python package {exc.name}", hint=hint)
