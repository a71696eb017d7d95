"""Settings: flags beat the environment, the environment beats ``config.toml``.

source = "production"        # default of --source, when it is not the embedded instance
workers = 4
compression_level = 1
notify = ["json://localhost:8000/hook"]

[retention]
archives = "24h"             # archives in packmule's own store
jobs = "7d"                  # job rows
expire_unfinished = "24h"    # since the job's last sign of life
keep_last = 0                # archives kept per project, whatever their age

[sources.production]
kind = "gitlab-db"
database = "postgresql:///gitlabhq_production"
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from export_core.errors import UsageError
from export_core.quantities import parse_duration
from export_core.retention import Retention
from export_core.sources import SOURCES, check_settings


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """A source as the user named it. ``name`` may be shown; ``settings`` may hold secrets."""

    name: str
    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def stored(self) -> dict[str, Any]:
        """What is kept with a job, so that a resume opens the very same source."""
        return {"kind": self.kind, **self.settings}


EMBEDDED = SourceConfig("embedded", "embedded")
OMNIBUS = SourceConfig("omnibus", "omnibus")


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that config.toml and the environment say."""

    path: Path | None = None
    source: str = "embedded"
    workers: int | None = None
    compression_level: int = 1
    notify: tuple[str, ...] = ()
    to: str | None = None
    """Where exports go that do not say; from the environment alone, as it may be a signed URL."""
    retention: Retention = field(default_factory=Retention)
    sources: Mapping[str, SourceConfig] = field(default_factory=lambda: {EMBEDDED.name: EMBEDDED})

    def find_source(self, name: str | None) -> SourceConfig:
        """The source that ``--source`` means: a name, a URL, or the default. Raises UsageError."""
        wanted = name or self.source
        if wanted in self.sources:
            return self.sources[wanted]
        if wanted == OMNIBUS.name:
            return OMNIBUS
        if "://" in wanted:
            return source_of_url(wanted)
        if "=" in wanted:  # key=value words of libpq, perhaps with a password
            raise UsageError(
                "--source takes a name or a URL, no key=value words",
                hint="write them as postgresql://user@host/database",
            )
        hint = f"sources: {', '.join(sorted({*self.sources, OMNIBUS.name}))}; others are named in {self.path}"
        raise UsageError(f"there is no source named {wanted!r}", hint=hint)


URL_KINDS: Mapping[str, str] = {
    "postgresql": "gitlab-db",
    "postgres": "gitlab-db",
    "mongodb": "growi",
    "mongodb+srv": "growi",
    "growi+https": "growi",
    "growi+http": "growi",
    "growi+demo": "growi",
}


def source_of_url(url: str) -> SourceConfig:
    """The source behind a URL. Its name is the URL without password and query. Raises UsageError."""
    from strategies.masking import mask_url

    kind = URL_KINDS.get(url.partition("://")[0].lower())
    if kind is None:
        hint = f"understood are {', '.join(f'{scheme}://' for scheme in URL_KINDS)}"
        raise UsageError(f"no source can be read from {mask_url(url)}", hint=hint)
    name = mask_url(url)
    if "://" not in name:  # urllib forgets the slashes before an empty host
        name = name.replace(":", "://", 1)
    return SourceConfig(name, kind, {"url": url})


def home_directory(environ: Mapping[str, str] | None = None) -> Path:
    """``PACKMULE_HOME``, else packmule's place in the user's data directory."""
    given = (os.environ if environ is None else environ).get("PACKMULE_HOME")
    if given:
        return Path(given).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("packmule", appauthor=False)


def config_path(environ: Mapping[str, str] | None = None) -> Path:
    """``PACKMULE_CONFIG``, else ``config.toml`` in the user's config directory."""
    given = (os.environ if environ is None else environ).get("PACKMULE_CONFIG")
    if given:
        return Path(given).expanduser().absolute()
    from platformdirs import user_config_path

    return user_config_path("packmule", appauthor=False) / "config.toml"


def load(environ: Mapping[str, str] | None = None) -> Config:
    """The configuration of this run. Raises UsageError naming the file and the key."""
    environ = os.environ if environ is None else environ
    path = config_path(environ)
    if not path.exists():
        if environ.get("PACKMULE_CONFIG"):
            raise UsageError(
                f"PACKMULE_CONFIG names {path}, which does not exist", hint="name another file, or unset it"
            )
        return _with_environment(Config(path=path), environ)
    return _with_environment(parse(_read(path), path), environ)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise UsageError(f"{path} is not valid TOML: {exc}", hint="mend the line that is named") from exc
    except OSError as exc:
        raise UsageError(f"{path} cannot be read: {exc.strerror}", hint="change its permissions") from exc


def parse(document: Mapping[str, Any], path: Path) -> Config:
    """The configuration in a parsed config.toml. Raises UsageError naming the file and the key."""
    try:
        _known(document, {f.name for f in fields(Config)} - {"path", "to"}, "")
        config = Config(
            path=path,
            source=_text(document, "source", "embedded"),
            workers=_number(document, "workers", None, least=1),
            compression_level=_number(document, "compression_level", 1, least=0) or 0,
            notify=_texts(document, "notify"),
            retention=_retention(_table(document, "retention")),
            sources={EMBEDDED.name: EMBEDDED, **_sources(_table(document, "sources"))},
        )
        config.find_source(None)
    except UsageError as exc:
        raise UsageError(f"{path}: {exc.message}", hint=exc.hint) from exc
    return config


def _with_environment(config: Config, environ: Mapping[str, str]) -> Config:
    changes: dict[str, Any] = {}
    if source := environ.get("PACKMULE_SOURCE"):
        changes["source"] = source
    for name in ("workers", "compression_level"):
        if text := environ.get(f"PACKMULE_{name.upper()}"):
            changes[name] = _environment_number(f"PACKMULE_{name.upper()}", text)
    if to := environ.get("PACKMULE_TO"):
        changes["to"] = to
    if urls := environ.get("PACKMULE_NOTIFY"):
        changes["notify"] = tuple(urls.split())
    return replace(config, **changes)


def _environment_number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise UsageError(f"{name} must be a number, not {text!r}", hint=f"for example {name}=1")
    return int(text)


def _sources(tables: Mapping[str, Any]) -> dict[str, SourceConfig]:
    return {name: _source(name, _table(tables, name)) for name in tables}


def _source(name: str, table: Mapping[str, Any]) -> SourceConfig:
    if "://" in name or not name:
        raise UsageError(
            f"[sources.{name}]: a source's name cannot look like a URL",
            hint="call it by a word of yours; the URL is one of its settings",
        )
    kind = table.get("kind")
    if not isinstance(kind, str):
        raise UsageError(f"[sources.{name}] needs a kind", hint=f"kinds: {', '.join(SOURCES)}")
    settings = {key: value for key, value in table.items() if key != "kind"}
    try:
        check_settings(kind, settings)
    except UsageError as exc:
        raise UsageError(f"[sources.{name}]: {exc.message}", hint=exc.hint) from exc
    return SourceConfig(name, kind, settings)


def _retention(table: Mapping[str, Any]) -> Retention:
    _known(table, {f.name for f in fields(Retention)}, "retention.")
    values: dict[str, Any] = {
        name: _duration(table, name) for name in ("archives", "jobs", "expire_unfinished") if name in table
    }
    if "keep_last" in table:
        values["keep_last"] = _number(table, "keep_last", 0, least=0)
    return Retention(**values)


def _known(table: Mapping[str, Any], known: set[str], prefix: str) -> None:
    for key in table:
        if key not in known:
            raise UsageError(f"unknown key {prefix}{key}", hint=f"known: {', '.join(sorted(known))}")


def _table(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise UsageError(f"{key} must be a table: [{key}]")
    return value


def _text(table: Mapping[str, Any], key: str, default: str) -> str:
    value = table.get(key, default)
    if not isinstance(value, str) or not value:
        raise UsageError(f"{key} must be a text, not {value!r}")
    return value


def _texts(table: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(f"{key} must be a list of texts")
    return tuple(value)


def _number(table: Mapping[str, Any], key: str, default: int | None, *, least: int) -> int | None:
    value = table.get(key, default)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
        raise UsageError(f"{key} must be a number from {least} on, not {value!r}")
    return value


def _duration(table: Mapping[str, Any], key: str) -> timedelta:
    try:
        return parse_duration(_text(table, key, ""))
    except UsageError as exc:
        raise UsageError(f"retention.{key}: {exc.message}", hint=exc.hint) from exc
