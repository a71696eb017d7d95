"""The flags of ``packmule export`` that only some sources or destinations understand.

A flag that would mean nothing is refused: whoever gave it would believe that it was obeyed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import strategies
from cli.commands.export_options import ExportOptions
from cli.config import Config, SourceConfig
from export_core.errors import UsageError
from export_core.quantities import parse_duration
from export_core.source import Selection
from export_core.sources import SOURCES

_SOURCE_FLAGS = {
    "as_user": "--as-user",
    "description": "--description",
    "max_db_load": "--max-db-load",
    "pause": "--pause",
    "include_trash": "--trash",
    "include_drafts": "--drafts",
    "front_matter": "--front-matter",
}
"""Export options of sources by the flags that give them."""
_HTTP = ("method", "header", "connect_timeout")
_S3 = ("endpoint_url", "profile", "region", "storage_class", "sse", "sse_kms_key_id")
_GITLAB = ("gitlab_url", "upload_to", "import_url")


def with_default_destination(options: ExportOptions, config: Config) -> ExportOptions:
    """The options with the destination of the environment where they name none and may have one."""
    if options.to is not None or config.to is None or options.strategy == "notification":
        return options
    return replace(options, to=config.to)


def names(texts: Iterable[str]) -> tuple[str, ...]:
    """Relation names of ``--only a,b --only c``, each once."""
    return tuple(dict.fromkeys(name.strip() for text in texts for name in text.split(",") if name.strip()))


def export_options(options: ExportOptions, source: SourceConfig) -> dict[str, Any]:
    """Options that only the source reads; those that were not given are left out.

    Raises UsageError for a flag that this kind of source does not understand.
    """
    understood = SOURCES[source.kind].export_options
    given = {name: value for name, value in _given(options).items() if value is not None}
    for name, flag in _SOURCE_FLAGS.items():
        if name in given and name not in understood:
            kinds = ", ".join(kind for kind, entry in SOURCES.items() if name in entry.export_options)
            raise UsageError(
                f"{flag} means nothing to the source {source.name}, which is of kind {source.kind}",
                hint=f"leave it out; it is for sources of kind {kinds}",
            )
    selection = Selection(names(options.only), names(options.skip))
    if "attachments" in understood and not selection.includes("attachments"):
        given["attachments"] = False  # then they are not even listed
    return given


def _given(options: ExportOptions) -> dict[str, Any]:
    return {
        "as_user": options.as_user,
        "description": options.description or None,
        "allow_missing": options.allow_missing or None,
        "max_db_load": options.max_db_load,
        "pause": parse_duration(options.pause).total_seconds() if options.pause else None,
        "include_trash": options.trash or None,
        "include_drafts": options.drafts or None,
        "front_matter": options.front_matter or None,
    }


def check_flags_of_destination(options: ExportOptions) -> None:
    """Raise UsageError for a flag that the destination would not obey."""
    name = options.strategy or strategies.implied(options.to)
    to_s3 = (options.to or "").startswith("s3://")
    http, s3 = name == "web-upload" and not to_s3, name == "web-upload" and to_s3
    to_gitlab = name == "import-project" and not (options.to or "").startswith("embedded:")
    sends = http or s3 or name == "import-project"
    upload = options.upload_to or ""
    http, s3 = http or (to_gitlab and "://" in upload), s3 or (to_gitlab and upload.startswith("s3://"))
    for flags, fits, what in (
        (("force",), name == "move-file", "a file (--to PATH)"),
        (_HTTP, http, "an upload to https://"),
        (_S3, s3, "an upload to s3://"),
        (("no_local_copy", "limit_rate"), sends, "an upload"),
        (("timeout",), sends and not to_s3, "an upload over HTTP"),
        (_GITLAB, to_gitlab, "a new project of a GitLab (--strategy import-project)"),
    ):
        given = [flag for flag in flags if getattr(options, flag) not in (None, False, ())]
        if given and not fits:
            flag = given[0].replace("_", "-")
            raise UsageError(f"--{flag} is for {what}; {name} does not use it", hint="leave it out")
