"""Runs git on repositories and bundles that belong to somebody else. The one place that says how.

A repository's own configuration, hooks, attributes or alternates must never run anything: no configuration
of this machine is read, hooks and helpers are pointed at nothing, no transport is allowed, and missing
objects of a partial clone are not fetched. ``GIT_ALLOW_PROTOCOL`` is what stops transports: a repository's
``protocol.ext.allow`` beats ``protocol.allow`` on the command line, but nothing beats the variable.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO

from export_core.errors import ExportFailed, SourceUnavailable

# Command-line configuration beats the repository's own.
GUARDS = (
    "safe.directory=*",
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.sshCommand=false",
    "core.askPass=false",
    "core.pager=cat",
    "core.alternateRefsCommand=true",
    "credential.helper=",
    "protocol.allow=never",
    "uploadpack.packObjectsHook=",
    "gc.auto=0",
    "maintenance.auto=false",
    "core.multiPackIndex=true",
    "advice.detachedHead=false",
    "init.defaultBranch=main",
)
NO_PROTOCOL = "none"
"""The name of no transport at all."""
OLDEST = (2, 20)
"""Older ones lack options that bundling uses."""
FAST_BUNDLES = (2, 50)
"""From here on ``git bundle create`` takes time in proportion to the refs; before, to their square."""


class GitFailed(ExportFailed):
    """git ended with an error."""


def environment(*, protocols: str = NO_PROTOCOL) -> dict[str, str]:
    """An environment in which git reads no configuration of this machine and asks nobody.

    ``protocols`` are the transports that it may use; ``file`` is what cloning a bundle takes.
    """
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    return clean | {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": protocols,
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_GRAFT_FILE": os.devnull,
        "GIT_PAGER": "cat",
        "LC_ALL": "C",
    }


def command(repository: Path, arguments: Sequence[str]) -> list[str]:
    """The words that run git on a bare repository, guarded. Raises SourceUnavailable without git."""
    return guarded([f"--git-dir={repository}"], arguments)


def guarded(place: Sequence[str], arguments: Sequence[str]) -> list[str]:
    """The words that run git, guarded; ``place`` says where. Raises SourceUnavailable without git."""
    program = shutil.which("git")
    if program is None:
        raise SourceUnavailable("git is not installed", hint="install git, or --skip repository")
    guards = [word for guard in GUARDS for word in ("-c", guard)]
    return [program, "--no-pager", *place, *guards, *arguments]


def run(repository: Path, *arguments: str) -> str:
    """What git prints. Raises GitFailed with its last line."""
    done = subprocess.run(
        command(repository, arguments),
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
    )
    if done.returncode:
        raise _failure(repository, arguments[0], done.returncode, done.stderr)
    return done.stdout


@contextmanager
def stream(repository: Path, *arguments: str) -> Iterator[IO[bytes]]:
    """What git prints, as a stream. Raises GitFailed at the end when git failed; kills it on any error."""
    # A file, not a pipe: git that warns a lot would wait for a reader while we wait for its output.
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command(repository, arguments),
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        try:
            if process.stdout is None:
                raise GitFailed(f"git {arguments[0]} gives no output")
            yield process.stdout
            if process.wait():
                errors.seek(0)
                said = errors.read().decode(errors="replace")
                raise _failure(repository, arguments[0], process.returncode, said)
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill git with the processes it started (pack-objects), and take leave of its pipe."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _failure(repository: Path, verb: str, code: int, errors: str) -> GitFailed:
    return GitFailed(
        f"git {verb} failed on {repository}: {reason(errors, code)}",
        hint=f"look at: git --git-dir={repository} fsck",
    )


def reason(errors: str, code: int) -> str:
    """What git said at the end: from its last ``fatal:`` on, in one line."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    fatal = max((place for place, line in enumerate(lines) if line.startswith("fatal:")), default=-1)
    return (" ".join(lines[fatal:]) if lines else f"exit code {code}")[:300]


def version_text() -> str:
    """What git says of itself, such as ``git version 2.50.1``. Raises SourceUnavailable without git."""
    words = guarded([], ["version"])
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False)
    return done.stdout.strip()


def version_in(text: str) -> tuple[int, int]:
    """Major and minor number in ``version_text``; (0, 0) when there is none."""
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


@lru_cache(maxsize=1)
def version() -> tuple[int, int]:
    """Major and minor number of this machine's git, asked once. Raises SourceUnavailable without git."""
    return version_in(version_text())


def exists(repository: Path) -> bool:
    """Whether there is a repository. Raises SourceUnavailable when this user may not look into it."""
    objects = repository / "objects"
    try:
        if not objects.is_dir():
            return False
        next(objects.iterdir(), None)
    except OSError as exc:
        raise SourceUnavailable(
            f"the repository {repository} cannot be read: {exc.strerror}",
            hint="run packmule as root or as the user git, or --skip this relation",
        ) from exc
    return True


def has_branch(repository: Path) -> bool:
    """Whether a repository exists and has at least one branch; what GitLab takes for not empty."""
    if not exists(repository):
        return False
    return bool(run(repository, "for-each-ref", "--count=1", "--format=%(refname)", "refs/heads"))


def branches(repository: Path) -> dict[str, str]:
    """Branch name to commit id."""
    if not exists(repository):
        return {}
    lines = run(repository, "for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads")
    return {name: sha for sha, _, name in (line.partition(" ") for line in lines.splitlines())}


def head_branch(repository: Path) -> str | None:
    """The branch that HEAD points to, when it exists."""
    try:
        name = run(repository, "symbolic-ref", "--short", "HEAD").strip()
    except GitFailed:
        return None
    return name if name in branches(repository) else None


def pack_size(repository: Path) -> int:
    """Bytes of the packs and loose objects that a repository has or borrows: what a bundle weighs at most."""
    own = sum(_sizes(Path(directory)) for directory, _, _ in os.walk(repository / "objects"))
    # Only packs of those: a hostile repository may name any directory, and a walk through it takes long.
    return own + sum(_sizes(place / "pack") for place in _alternates(repository))


def _sizes(directory: Path) -> int:
    try:
        with os.scandir(directory) as entries:
            return sum(entry.stat(follow_symlinks=False).st_size for entry in entries if entry.is_file())
    except OSError:
        return 0


def count_refs(repository: Path, most: int) -> int:
    """How many refs there are, counted up to ``most``."""
    return run(repository, "for-each-ref", f"--count={most}", "--format=.").count(".")


def lost_alternates(repository: Path) -> list[Path]:
    """Object directories that a repository borrows from (a fork's pool) and that cannot be read."""
    return [place for place in _alternates(repository) if not os.access(place, os.R_OK | os.X_OK)]


def _alternates(repository: Path) -> list[Path]:
    objects = repository / "objects"
    try:
        text = (objects / "info" / "alternates").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return []
    # Only git's own form counts: an absolute path, or one relative to the object directory.
    return [objects / line for line in text.splitlines() if line and not line.startswith(("#", '"'))]
