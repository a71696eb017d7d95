"""From the settings of config.toml (or of a URL and its options) to ``GitlabSettings``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from export_core.errors import UsageError
from export_core.sources.gitlab_db.conninfo import check, with_password
from export_core.sources.gitlab_db.renderings import Rules
from export_core.sources.gitlab_db.settings import Databases, GitlabSettings, ObjectStorage, Storage

LICENSES = ("auto", "ce", "free", "licensed")
BUCKETS = ("uploads", "lfs", "external_diffs")
_STORAGE_KEYS = ("endpoint", "region", "profile", "access_key_id", "secret_access_key", "provider")


def gitlab_settings(name: str, settings: Mapping[str, Any]) -> GitlabSettings:
    """Check and complete the settings of a source. Raises UsageError naming source and setting."""
    try:
        return GitlabSettings(
            databases=_databases(settings),
            storage=_storage(settings),
            object_storage=_object_storage(settings.get("object_storage")),
            rules=_rules(settings),
            gitlab_version=_text(settings, "gitlab_version"),
            gitlab_revision=_text(settings, "gitlab_revision"),
            pause=_number(settings, "pause") or 0.0,
            max_db_load=_share(settings, "max_db_load"),
        )
    except UsageError as exc:
        raise UsageError(f"source {name}: {exc.message}", hint=exc.hint) from exc


def _databases(settings: Mapping[str, Any]) -> Databases:
    main = _text(settings, "database") or _text(settings, "url")
    if main is None:
        raise UsageError(
            "it needs `database`", hint='for example database = "postgresql:///gitlabhq_production"'
        )
    if _text(settings, "database") and _text(settings, "url"):
        raise UsageError("`database` and a URL exclude each other", hint="leave one of them out")
    check(main, "database")
    password = _password(settings)
    others = {key: _text(settings, f"{key}_database") for key in ("ci", "sec")}
    for key, dsn in others.items():
        if dsn is not None:
            check(dsn, f"{key}_database")
    return Databases(
        with_password(main, password),
        **{key: None if dsn is None else with_password(dsn, password) for key, dsn in others.items()},
    )


def _password(settings: Mapping[str, Any]) -> str | None:
    """From the environment or the keyring; libpq itself looks at PGPASSWORD, PGPASSFILE and ~/.pgpass."""
    variable = _text(settings, "password_env")
    if variable:
        if variable not in os.environ:
            raise UsageError(
                f"password_env names {variable}, which is not set",
                hint=f"set {variable}, or take password_env out of the source's settings",
            )
        return os.environ[variable]
    entry = _text(settings, "password_keyring")
    if not entry:
        return None
    try:
        import keyring
    except ModuleNotFoundError as exc:
        raise UsageError(
            "password_keyring needs the package keyring", hint="pip install 'packmule[keyring]'"
        ) from exc
    service, _, user = entry.partition("/")
    found: str | None = keyring.get_password(service, user or "gitlab")
    if found is None:
        raise UsageError(f"the keyring has no password for {entry}", hint=f"keyring set {service} {user}")
    return found


def _storage(settings: Mapping[str, Any]) -> Storage:
    shared = _directory(settings, "shared")
    uploads = _directory(settings, "uploads")
    if uploads is not None and Path(uploads).name == "public":
        uploads = str(Path(uploads) / "uploads")  # GitLab's own setting names the directory above
    return Storage(
        repositories=_repositories(settings.get("repositories") or {}),
        uploads=uploads,
        lfs_objects=_directory(settings, "lfs_objects") or (shared and str(Path(shared) / "lfs-objects")),
        external_diffs=_directory(settings, "external_diffs")
        or (shared and str(Path(shared) / "external-diffs")),
    )


def _repositories(value: Any) -> dict[str, str]:
    """Storage name to directory; one path alone is the storage ``default``."""
    table = {"default": value} if isinstance(value, str) else value
    if not isinstance(table, Mapping) or not all(isinstance(path, str) and path for path in table.values()):
        raise UsageError(
            "repositories must be a path, or a table of storage names and paths",
            hint='repositories = { default = "/var/opt/gitlab/git-data/repositories" }, or'
            " --source-option repositories.default=/var/opt/gitlab/git-data/repositories",
        )
    return {name: _absolute(path, f"repositories.{name}") for name, path in table.items()}


def _directory(settings: Mapping[str, Any], key: str) -> str | None:
    path = _text(settings, key)
    return None if path is None else _absolute(path, key)


def _absolute(path: str, key: str) -> str:
    """A job may be resumed from another directory."""
    expanded = Path(path).expanduser()
    if not expanded.is_absolute():
        raise UsageError(
            f"{key} must be an absolute path, not {path!r}", hint="write it from / on, or beginning with ~"
        )
    return str(expanded)


def _object_storage(value: Any) -> ObjectStorage | None:
    if not value:
        return None
    if not isinstance(value, Mapping):
        raise UsageError("object_storage must be a table", hint=f"keys: {', '.join(_STORAGE_KEYS)}, buckets")
    buckets = value.get("buckets") or {}
    if not isinstance(buckets, Mapping):
        raise UsageError("object_storage.buckets must be a table", hint=f"of {', '.join(BUCKETS)}")
    unknown = [*(set(value) - {*_STORAGE_KEYS, "buckets"}), *(set(buckets) - set(BUCKETS))]
    if unknown:
        raise UsageError(
            f"object_storage has no setting {unknown[0]!r}",
            hint=f"keys: {', '.join(_STORAGE_KEYS)}, buckets ({', '.join(BUCKETS)})",
        )
    places = {kind: _text(buckets, kind) for kind in buckets}
    texts = {key: _text(value, key) for key in _STORAGE_KEYS if key in value}
    if bool(texts.get("access_key_id")) != bool(texts.get("secret_access_key")):
        raise UsageError(
            "object_storage needs access_key_id and secret_access_key together, or neither",
            hint="without them the AWS tools' environment, files and roles are used; profile names one",
        )
    endpoint = texts.get("endpoint")
    if endpoint is not None and not endpoint.startswith(("http://", "https://")):
        raise UsageError("object_storage.endpoint must begin with https:// or http://")
    return ObjectStorage({kind: place for kind, place in places.items() if place}, **texts)


def _rules(settings: Mapping[str, Any]) -> Rules:
    license = _text(settings, "license") or "auto"
    if license not in LICENSES:
        raise UsageError(f"license is {license!r}", hint=f"one of {', '.join(LICENSES)}")
    return Rules(
        license=license,
        pages_https=_flag(settings, "pages_https"),
        container_registry=_flag(settings, "container_registry", default=True),
        drop_commit_messages=_flag(settings, "drop_commit_messages"),
    )


def _text(settings: Mapping[str, Any], key: str) -> str | None:
    value = settings.get(key)
    if value is not None and not isinstance(value, str):
        raise UsageError(f"{key} must be a text, not {value!r}")
    return value or None


def _number(settings: Mapping[str, Any], key: str) -> float | None:
    value = settings.get(key)
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number < float("inf"):
        raise UsageError(f"{key} must be a number, not {value!r}")
    return number


def _share(settings: Mapping[str, Any], key: str) -> float | None:
    number = _number(settings, key)
    if number is not None and not 0 < number <= 1:
        raise UsageError(f"{key} is the share of time, above 0 and at most 1, not {number}")
    return number


def _flag(settings: Mapping[str, Any], key: str, *, default: bool = False) -> bool:
    value = settings.get(key, default)
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise UsageError(f"{key} must be true or false, not {value!r}")
    return value
