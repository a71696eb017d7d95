"""Reading git bundles of archives: is one whole, and making a bare repository of it. Always by real git.

``export_core.git`` says how git is run; here it may read local files besides: a bundle is one.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from export_core import git
from export_core.errors import ArchiveInvalid, SourceUnavailable

MAGIC = (b"# v2 git bundle\n", b"# v3 git bundle\n")
_SHA256 = b"@object-format=sha256\n"
_BRANCH = re.compile(r"[^\s~^:?*\[\\\x00-\x1f]+")


def is_bundle(path: Path) -> bool:
    """Whether a file begins as the importer demands."""
    with path.open("rb") as file:
        return file.read(len(MAGIC[0])) in MAGIC


def bundle_fault(bundle: Path, scratch: Path) -> str | None:
    """Why git cannot take a bundle, or None. ``scratch`` is a directory for what git unpacks meanwhile.

    Checks the header and its prerequisites (``git bundle verify``), then every object (``unbundle``):
    the first alone accepts a bundle whose second half is missing.
    """
    if not is_bundle(bundle):
        return "does not begin with the line of a git bundle (v2 or v3)"
    repository = scratch / "check.git"
    try:
        _git(_init(bundle, repository))
        for verb in ("verify", "unbundle"):
            done = _run(["-C", str(repository), "bundle", verb, str(bundle)])
            if done.returncode:
                return f"is refused by git bundle {verb}: {_reason(done)}"
    finally:
        shutil.rmtree(repository, ignore_errors=True)
    return None


def restore_bundle(bundle: Path, target: Path, *, default_branch: str | None = None) -> None:
    """Make the bare repository ``target`` with every ref of a bundle, as GitLab's importer does.

    HEAD is ``default_branch`` when that branch exists, else what the bundle's HEAD decides. Raises
    ArchiveInvalid; a repository begun is removed then.
    """
    if not is_bundle(bundle):
        raise ArchiveInvalid(f"{bundle.name} is not a git bundle", hint="verify the archive")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        _git(["clone", "--quiet", "--mirror", "--template=", str(bundle), str(target)])
        _git(["-C", str(target), "config", "--remove-section", "remote.origin"])
        _settle_head(target, default_branch)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _settle_head(repository: Path, wanted: str | None) -> None:
    """A bundle tells HEAD's commit, not its branch: choose among the branches when git could not."""
    branches = _git(["-C", str(repository), "for-each-ref", "--format=%(refname:short)", "refs/heads"])
    known = branches.splitlines()
    head = _run(["-C", str(repository), "symbolic-ref", "--short", "HEAD"]).stdout.strip()
    for name in (wanted, head, "main", "master", *known[:1]):
        if name and name in known and _BRANCH.fullmatch(name):
            _git(["-C", str(repository), "symbolic-ref", "HEAD", f"refs/heads/{name}"])
            return


def _init(bundle: Path, repository: Path) -> list[str]:
    sha256 = ["--object-format=sha256"] if is_sha256(bundle) else []
    return ["init", "--quiet", "--bare", "--template=", *sha256, str(repository)]


def _git(arguments: Iterable[str]) -> str:
    done = _run(arguments)
    if done.returncode:
        raise ArchiveInvalid(f"git cannot read a bundle: {_reason(done)}", hint="verify the archive")
    return done.stdout


def _run(arguments: Iterable[str]) -> subprocess.CompletedProcess[str]:
    try:
        words = git.guarded([], [*arguments])
    except SourceUnavailable as exc:
        raise ArchiveInvalid(
            "git is not installed, so bundles cannot be read", hint="install git and try again"
        ) from exc
    return subprocess.run(
        words,
        env=git.environment(protocols="file"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    return git.reason(done.stderr, done.returncode)


def is_sha256(bundle: Path) -> bool:
    """Whether the objects of a bundle are named by SHA-256."""
    with bundle.open("rb") as file:
        file.readline(200)
        return _SHA256 in [file.readline(200) for _ in range(4)]
