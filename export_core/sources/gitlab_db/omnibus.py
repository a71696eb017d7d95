"""Finds everything on a machine with GitLab's Omnibus package, from the files that its set-up wrote.

Source: omnibus-gitlab; ``gitlab-ctl reconfigure`` renders gitlab.rb into database.yml, gitlab.yml and
Gitaly's config.toml, which hold what is really in force.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export_core.errors import SourceUnavailable
from export_core.sources.gitlab_db.configured import BUCKETS, gitlab_settings
from export_core.sources.gitlab_db.source import GitlabSource

if TYPE_CHECKING:
    from export_core.source import Source
    from export_core.workspace import Home

_RAILS = "var/opt/gitlab/gitlab-rails"
_SHARED = f"{_RAILS}/shared"
_GITALY = "var/opt/gitlab/gitaly/config.toml"
_AS_GIT = "run packmule as the user git (sudo -u git), whom database, settings and repositories trust"
_CODE = "opt/gitlab/embedded/service/gitlab-rails"


def build(name: str, settings: Mapping[str, Any], home: Home) -> Source:
    """The GitLab of this machine. Raises SourceUnavailable when it has none, or is not readable.

    Any setting of a ``gitlab-db`` source goes before what was found: ``database`` for a replica, say.
    """
    root = Path(str(settings.get("root") or "/"))
    given = {key: value for key, value in settings.items() if key != "root"}
    return GitlabSource(name, gitlab_settings(name, {**found(root), **given}), str(home.root))


def found(root: Path) -> dict[str, Any]:
    """The settings of the installation below ``root``."""
    rails = _yaml(root / _RAILS / "etc" / "gitlab.yml").get("production") or {}
    settings: dict[str, Any] = {
        **_databases(_yaml(root / _RAILS / "etc" / "database.yml").get("production") or {}),
        "repositories": _repositories(root),
        "uploads": _uploads(rails) or str(root / _RAILS / "uploads"),
        "lfs_objects": _path(rails, "lfs") or str(root / _SHARED / "lfs-objects"),
        "external_diffs": _path(rails, "external_diffs") or str(root / _SHARED / "external-diffs"),
        "pages_https": bool((rails.get("pages") or {}).get("external_https")),
    }
    if store := _object_storage(rails):
        settings["object_storage"] = store
    for key, file in (("gitlab_version", "VERSION"), ("gitlab_revision", "REVISION")):
        path = root / _CODE / file
        if path.is_file():
            settings[key] = path.read_text(encoding="utf-8").strip()
    return settings


def _databases(production: Mapping[str, Any]) -> dict[str, str]:
    """``main``, ``ci`` and ``sec``; a flat file of old versions is the main database."""
    from psycopg.conninfo import make_conninfo

    tables = production if "main" in production else {"main": production}
    wanted = {"main": "database", "ci": "ci_database", "sec": "sec_database"}
    keys = {"host": "host", "port": "port", "database": "dbname", "username": "user", "password": "password"}
    dsns = {
        wanted[name]: make_conninfo("", **{keys[key]: str(table[key]) for key in keys if table.get(key)})
        for name, table in tables.items()
        if name in wanted and table
    }
    # With `database_tasks: false` a second entry is the same database under another name.
    return {key: dsn for key, dsn in dsns.items() if key == "database" or dsn != dsns["database"]}


def _repositories(root: Path) -> dict[str, str]:
    path = root / _GITALY
    try:
        storages = tomllib.loads(path.read_text(encoding="utf-8")).get("storage", [])
    except FileNotFoundError:
        default = root / "var/opt/gitlab/git-data/repositories"
        return {"default": str(default)} if default.is_dir() else {}
    except (OSError, tomllib.TOMLDecodeError) as exc:
        raise _unreadable(path, exc) from exc
    return {str(storage["name"]): str(storage["path"]) for storage in storages}


def _uploads(rails: Mapping[str, Any]) -> str | None:
    """``uploads.storage_path`` is the directory above; Omnibus links its ``uploads`` to the real one."""
    above = _path(rails, "uploads")
    place = None if above is None else Path(above) / "uploads"
    return str(place) if place is not None and place.is_dir() else None


def _path(rails: Mapping[str, Any], kind: str) -> str | None:
    value = (rails.get(kind) or {}).get("storage_path")
    return None if value is None else str(value)


def _object_storage(rails: Mapping[str, Any]) -> dict[str, Any] | None:
    """The consolidated form, else the older one with a connection per type."""
    store = rails.get("object_store") or {}
    objects = store.get("objects") or {} if store.get("enabled") else {}
    buckets = {kind: (objects.get(kind) or {}).get("bucket") for kind in BUCKETS}
    connection = store.get("connection") or {}
    for kind in BUCKETS:
        own = (rails.get(kind) or {}).get("object_store") or {}
        if not buckets[kind] and own.get("enabled"):
            buckets[kind] = own.get("remote_directory")
            connection = connection or own.get("connection") or {}
    if not any(buckets.values()):
        return None
    provider = str(connection.get("provider") or "AWS")
    found = {
        "provider": None if provider.lower() == "aws" else provider,
        "endpoint": connection.get("endpoint"),
        "region": connection.get("region"),
        "access_key_id": connection.get("aws_access_key_id"),
        "secret_access_key": connection.get("aws_secret_access_key"),
        "buckets": {kind: bucket for kind, bucket in buckets.items() if bucket},
    }
    return {key: value for key, value in found.items() if value}


def _yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise SourceUnavailable(
            f"this machine has no Omnibus GitLab: {path} does not exist",
            hint='describe the source in config.toml with kind = "gitlab-db"',
        ) from exc
    except (OSError, yaml.YAMLError) as exc:
        raise _unreadable(path, exc) from exc
    return document if isinstance(document, dict) else {}


def _unreadable(path: Path, exc: Exception) -> SourceUnavailable:
    said = exc.strerror if isinstance(exc, OSError) else exc
    return SourceUnavailable(f"{path} cannot be read: {said}", hint=_AS_GIT)
