"""The export options of a wiki: defaults, then the source's settings, then what the user asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from export_core.errors import UsageError

_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
SETTINGS = {
    "trash": "include_trash",
    "drafts": "include_drafts",
    "front_matter": "front_matter",
    "attachments": "attachments",
    "rewrite_links": "rewrite_links",
}
"""The settings in config.toml that give options their default, by the option's name."""


@dataclass(frozen=True, slots=True)
class Options:
    """What of the wiki is exported, and how."""

    as_user: str | None = None
    """User name or id whose rights count; None for all pages, as an administrator of the database has."""
    include_trash: bool = False
    """Pages in the trash too; always included when the exported page itself is in the trash."""
    include_drafts: bool = False
    """Pages that are marked as work in progress too. Those left out are counted in a warning."""
    front_matter: bool = False
    """Title, path, author, times and revision as YAML at the head of each file."""
    attachments: bool = True
    """Whether attachments are listed at all; without them there is no relation ``attachments``."""
    rewrite_links: bool | None = None
    """Links between exported pages and to attachments made relative; None: when attachments are exported."""
    allow_missing: bool = False
    """A text that is gone, or an attachment without its file, is a warning and not a failure."""


def options_from(settings: Mapping[str, Any], given: Mapping[str, Any]) -> Options:
    """The options of an export. Keys that are not options of a wiki belong to others and are passed by.
    Raises UsageError for a value that is no yes or no.
    """
    wanted = {SETTINGS[key]: value for key, value in settings.items() if key in SETTINGS}
    wanted |= given
    known = {option.name for option in fields(Options)}
    values: dict[str, Any] = {
        name: _value(name, value) for name, value in wanted.items() if name in known and value is not None
    }
    return Options(**values)


def _value(name: str, value: object) -> object:
    if name == "as_user" or isinstance(value, bool):
        return str(value) if name == "as_user" else value
    word = _WORDS.get(str(value).lower())
    if word is None:
        raise UsageError(f"{name} is yes or no, not {value!r}", hint="write true or false")
    return word
