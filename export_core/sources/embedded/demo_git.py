"""Makes small git repositories from a story: commits as data, through ``git fast-import``.

Authors and times are part of the data, so that the same story gives the same commit ids everywhere.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from export_core import git
from export_core.atomic import private_directory


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit on a branch. ``files`` are what it changes: path to content."""

    branch: str
    author: tuple[str, str]
    """Name and e-mail address."""
    time: int
    """Seconds since 1970, UTC."""
    message: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    since: str | None = None
    """Where a new branch begins: name of another branch, as it stands at this point of the story."""
    merges: str | None = None
    """The branch that it merges."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A bare repository and the ids of its commits, in the story's order."""

    path: Path
    commits: tuple[str, ...]

    def bundle(self, target: Path) -> None:
        """Write everything it has into a bundle."""
        git.run(self.path, "bundle", "create", "--quiet", str(target), "--all")

    def diff(self, base: str, head: str) -> str:
        """The unified diff between two commits."""
        return git.run(self.path, "diff", "--no-color", "--no-ext-diff", base, head)


def make_repository(path: Path, commits: Sequence[Commit], refs: Mapping[str, int]) -> Repository:
    """Write a story into a new bare repository; ``refs`` are further refs, by number of the commit.

    The first commit's branch becomes HEAD. Raises GitFailed.
    """
    private_directory(path)
    options = ("--template=", "--shared=0600", f"--initial-branch={commits[0].branch}")
    git.run(path, "init", "--quiet", "--bare", *options)
    marks = path / "demo-marks"
    stream = b"".join((*_stream(commits), *(_ref(name, number) for name, number in refs.items())))
    done = subprocess.run(
        git.command(path, ["fast-import", "--quiet", f"--export-marks={marks}"]),
        env=git.environment(),
        input=stream,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise git.GitFailed(f"git fast-import failed on {path}: {done.stderr.decode(errors='replace')}")
    ids = dict(line.split() for line in marks.read_text(encoding="ascii").splitlines())
    marks.unlink()
    return Repository(path, tuple(ids[f":{number}"] for number in range(1, len(commits) + 1)))


def _stream(commits: Sequence[Commit]) -> Iterator[bytes]:
    """Source of the format: git-fast-import(1)."""
    begun: set[str] = set()
    for mark, commit in enumerate(commits, 1):
        who = f"{commit.author[0]} <{commit.author[1]}> {commit.time} +0000\n"
        yield f"commit refs/heads/{commit.branch}\nmark :{mark}\n".encode()
        yield f"author {who}committer {who}".encode()
        yield _data(commit.message.encode())
        if commit.since is not None and commit.branch not in begun:
            yield f"from refs/heads/{commit.since}\n".encode()
        if commit.merges is not None:
            yield f"merge refs/heads/{commit.merges}\n".encode()
        for name, content in commit.files.items():
            yield f"M 100644 inline {name}\n".encode() + _data(content)
        begun.add(commit.branch)


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _ref(name: str, commit: int) -> bytes:
    return f"reset {name}\nfrom :{commit + 1}\n\n".encode()
