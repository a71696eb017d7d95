"""From the words of ``packmule export`` to the request that is stored with a job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import strategies
from cli.commands.export_options import ExportOptions
from cli.config import Config, SourceConfig
from cli.destinations import destination
from cli.export_flags import check_flags_of_destination, export_options, names
from export_core.errors import UsageError
from export_core.job import Job, JobRequest
from export_core.sources import check_settings
from export_core.workspace import Home
from strategies.rate_limit import parse_rate
from strategies.words import Words

_DESTINATION_WORDS = (
    *("storage_class", "sse", "sse_kms_key_id", "timeout", "connect_timeout"),
    *("gitlab_url", "upload_to", "import_url"),
)
"""Options that only one kind of destination reads; passed on under their own names."""


def job_request(project: str, options: ExportOptions, config: Config, home: Home) -> JobRequest:
    """What is stored with the job. Raises UsageError for words that fit nothing or not each other."""
    source = chosen_source(options, config)
    check_utf8({"PROJECT": project, "--to": options.to})
    check_flags_of_destination(options)
    path = project_path(project, source)
    options = replace(options, to=destination(options.to, path, options.strategy, make=not options.dry_run))
    return JobRequest(
        project=path,
        source=source.name,
        source_options=source.stored(),
        strategy=strategies.choose(options.strategy, words_for(options, home)),
        only=names(options.only),
        skip=names(options.skip),
        workers=options.workers or config.workers,
        compression_level=_first(options.compression_level, config.compression_level),
        allow_missing=options.allow_missing,
        strict=options.strict,
        reuse=not options.no_reuse,
        notify=options.notify or config.notify,
        export_options=export_options(options, source),
    )


def chosen_source(options: ExportOptions, config: Config) -> SourceConfig:
    """The source with the settings of ``--source-option``. Raises UsageError."""
    return with_settings(config.find_source(options.source), options.source_option)


def with_settings(source: SourceConfig, texts: Iterable[str]) -> SourceConfig:
    """A source with more settings, each ``KEY=VALUE`` or ``TABLE.KEY=VALUE``. Raises UsageError."""
    settings: dict[str, Any] = dict(source.settings)
    for text in texts:
        key, value = _setting(text)
        check_settings(source.kind, {key.partition(".")[0]: value})
        _put(settings, key.split("."), value)
    return replace(source, settings=settings)


def _put(table: dict[str, Any], keys: Sequence[str], value: str) -> None:
    """Set a value in nested tables, copied on the way: they may belong to the configuration."""
    for key in keys[:-1]:
        inner = table.get(key)
        table[key] = dict(inner) if isinstance(inner, Mapping) else {}
        table = table[key]
    table[keys[-1]] = value


def project_path(text: str, source: SourceConfig) -> str:
    """A GitLab path has no slash at its ends; a page's begins with one and may end in a blank.

    Raises UsageError.
    """
    path = "/" + text.strip("/") if source.kind == "growi" and text else text.strip().strip("/")
    if not path or "\0" in path or "//" in path:
        raise UsageError(f"{text!r} is not the path of a project", hint="for example group/project")
    return path


def words_for(options: ExportOptions, home: Home) -> Words:
    """What the user said about the destination."""
    more = {name: getattr(options, name) for name in _DESTINATION_WORDS}
    return Words(
        to=options.to,
        force=options.force,
        home=str(home.root),
        store_dir=str(home.archives),
        limit_rate=parse_rate(options.limit_rate) if options.limit_rate else None,
        local_copy=not options.no_local_copy,
        method=options.method,
        headers=options.header,
        endpoint_url=options.endpoint_url,
        profile=options.profile,
        region=options.region,
        more={name: value for name, value in more.items() if value is not None},
    )


def check_relations(request: JobRequest, known: Sequence[str]) -> None:
    """Raise UsageError when ``--only`` or ``--skip`` names a relation that the source does not have."""
    unknown = [name for name in (*request.only, *request.skip) if name not in known]
    if unknown:
        which = f"no relation {unknown[0]!r}" if len(unknown) == 1 else f"no relations {', '.join(unknown)}"
        raise UsageError(f"{request.source} has {which}", hint=f"relations: {', '.join(known)}")
    if request.only and not set(request.only) - set(request.skip):
        raise UsageError("--only and --skip together leave nothing to export")


def check_receivers(request: JobRequest) -> None:
    """Raise UsageError when a notification URL is not understood: before the work, not after it."""
    if request.notify:
        from strategies.notify import check_urls

        check_urls(request.notify)


def same_export(job: Job, request: JobRequest) -> bool:
    """Whether a job carries the same project to the same place, where two would collide.

    Archives that stay in packmule's own store, or whose key holds ``{job}``, never collide.
    """
    mine, theirs = request.strategy, job.request.strategy
    place = str(mine.options.get("to") or mine.destination or "")
    if not place or "{job}" in place:
        return False
    return (job.project, job.request.source, theirs.name, theirs.destination, theirs.options.get("to")) == (
        request.project,
        request.source,
        mine.name,
        mine.destination,
        mine.options.get("to"),
    )


def check_utf8(texts: Mapping[str, str | None]) -> None:
    """Raise UsageError for words that no text of the job store can hold."""
    for name, text in texts.items():
        try:
            (text or "").encode()
        except UnicodeEncodeError as exc:
            raise UsageError(f"{name} is not UTF-8: {text!r}", hint="give another name") from exc


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(
            f"--source-option takes KEY=VALUE, not {key!r}", hint="for example repositories=/path"
        )
    return key.strip(), value


def _first(given: int | None, default: int) -> int:
    return default if given is None else given
