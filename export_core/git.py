"""Runs git on repositories that belong to somebody else.

A repository's own configuration, hooks, attributes or alternates must never run anything: no configuration
of this machine is read, hooks and helpers are pointed at nothing, no transport is allowed, and missing
objects of a partial clone are not fetched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from export_core.errors import PackmuleError, SourceUnavailable

# Command-line configuration beats the repository's own.
_GUARDS = (
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
)


class GitFailed(PackmuleError):
    """git ended with an error."""


def environment() -> dict[str, str]:
    """An environment in which git reads no configuration of this machine and asks nobody."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    return clean | {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "LC_ALL": "C",
    }


def command(repository: Path, arguments: Sequence[str]) -> list[str]:
    """The words that run git on a bare repository, guarded. Raises SourceUnavailable without git."""
    program = shutil.which("git")
    if program is None:
        raise SourceUnavailable("git is not installed", hint="install git, or --skip repository")
    guards = [word for guard in _GUARDS for word in ("-c", guard)]
    return [program, f"--git-dir={repository}", *guards, *arguments]


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
    process = subprocess.Popen(
        command(repository, arguments),
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        if process.stdout is None or process.stderr is None:
            raise GitFailed(f"git {arguments[0]} gives no output")
        yield process.stdout
        errors = process.stderr.read().decode(errors="replace")
        if process.wait():
            raise _failure(repository, arguments[0], process.returncode, errors)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def _failure(repository: Path, verb: str, code: int, errors: str) -> GitFailed:
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    said = lines[-1][:300] if lines else f"exit code {code}"
    return GitFailed(
        f"git {verb} failed on {repository}: {said}", hint=f"look at: git --git-dir={repository} fsck"
    )


def has_branch(repository: Path) -> bool:
    """Whether a repository exists and has at least one branch; what GitLab takes for not empty."""
    if not (repository / "objects").is_dir():
        return False
    return bool(run(repository, "for-each-ref", "--count=1", "--format=%(refname)", "refs/heads"))


def branches(repository: Path) -> dict[str, str]:
    """Branch name to commit id."""
    if not (repository / "objects").is_dir():
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
    """Bytes of a repository's packs and loose objects, roughly: what a bundle of it will weigh."""
    total = 0
    for directory, _, files in os.walk(repository / "objects"):
        for name in files:
            try:
                total += (Path(directory) / name).stat().st_size
            except OSError:
                continue
    return total
