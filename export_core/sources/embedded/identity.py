"""Under which identity PostgreSQL's programs run. Ordinary users run them as themselves; root cannot.

What is tried for root, and why in this order: a user namespace leaves every file root's and opens nothing;
where containers forbid it, another user with the right to pass closed directories; and last a plain other
user, for whom packmule's own directories (never anything above them) become passable. ``launch.py`` does it.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from export_core.errors import SourceUnavailable

_LAUNCH = Path(__file__).with_name("launch.py")
_PREFERRED = ("nobody", "postgres")


def launcher(identity: str, mode: str, program: Path, *arguments: str) -> list[str]:
    """The command that runs a program under an identity (see ``launch.py``)."""
    return [sys.executable, "-I", "-S", str(_LAUNCH), identity, mode, str(program), *arguments]


def environment() -> dict[str, str]:
    """The present environment without what would redirect PostgreSQL's programs."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "LC_", "LANG"))}
    return kept | {"LC_ALL": "C"}


def choose(program: Path, cluster: Path) -> str:
    """The first identity under which ``program`` runs and can write into ``cluster``.

    As root, ``cluster`` and all below it are given to that identity. Raises SourceUnavailable.
    """
    for identity in candidates():
        if identity.startswith("user:"):
            _make_passable(cluster.parent)
        _give(cluster, identity)
        if _works(identity, program, cluster):
            return identity
    raise SourceUnavailable(
        f"PostgreSQL cannot run here: no identity can both run {program} and write into {cluster}",
        hint="run packmule as an ordinary user, or keep PACKMULE_HOME and the installation where other"
        " users may pass",
    )


def candidates() -> Iterator[str]:
    """Identities to try, best first."""
    if os.geteuid() == 0:
        other = _unprivileged()
        if sys.platform == "linux":
            yield f"namespace:{other.pw_uid}"
            yield f"capable:{other.pw_uid}:{other.pw_gid}"
        yield f"user:{other.pw_uid}:{other.pw_gid}"
        return
    if sys.platform == "linux" and not _has_name(os.geteuid()):
        # initdb insists on a name for its user id; containers often run under a number that has none.
        yield f"namespace:{_unprivileged().pw_uid}"
    yield "same"


def _unprivileged() -> pwd.struct_passwd:
    others = {entry.pw_name: entry for entry in pwd.getpwall() if entry.pw_uid != 0}
    for name in (*_PREFERRED, *others):
        if name in others:
            return others[name]
    raise SourceUnavailable(
        "PostgreSQL refuses to run as root, and this system has no other user",
        hint="run packmule as an ordinary user",
    )


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _give(cluster: Path, identity: str) -> None:
    """Make root's cluster directory and all below it belong to the identity."""
    if os.geteuid() != 0:
        return
    kind, *numbers = identity.split(":")
    uid, gid = (0, 0) if kind == "namespace" else (int(numbers[0]), int(numbers[1]))
    # The directory itself comes last: should this be cut short, its owner still tells that it is to do.
    if cluster.lstat().st_uid != uid:
        for path in _below(cluster):
            os.chown(path, uid, gid, follow_symlinks=False)
        os.chown(cluster, uid, gid)


def _below(directory: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(directory):
        yield from (f"{folder}/{name}" for name in (*folders, *files))


def _make_passable(embedded: Path) -> None:
    """Let other users pass packmule's own directories, without letting them list or read."""
    for directory in (embedded.parent, embedded):
        directory.chmod(directory.stat().st_mode & 0o7777 | 0o001)


def _works(identity: str, program: Path, cluster: Path) -> bool:
    shell = 'test -w "$2" && exec "$1" --version'
    command = launcher(identity, "exec", Path("/bin/sh"), "-c", shell, "sh", str(program), str(cluster))
    return identity == "same" or _succeeds(command)


def _succeeds(command: Sequence[str]) -> bool:
    done = subprocess.run(command, env=environment(), capture_output=True, check=False)
    return done.returncode == 0
