"""Puts a finished archive somewhere on a local file system; move-file and notification are both this.

A kill leaves one of three things: the archive where it was, the archive at its target but unrecorded, or
both (between the rename of a copy and the removal of the original). Each is told by size and digest.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from export_core import atomic
from export_core.delivery import Archive, Checkpoint, DeliveryContext
from export_core.errors import DeliveryInterrupted, DestinationUnusable
from strategies.metering import Meter

_MAY_PASS = frozenset(
    {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EBUSY, errno.ENETDOWN, errno.EHOSTDOWN}
)
"""What network file systems answer while they are away."""


@contextlib.contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Turn what the operating system says about a path into DestinationUnusable."""
    try:
        yield
    except OSError as exc:
        raise DestinationUnusable(
            f"{path} cannot be used: {exc.strerror or exc}",
            hint="change its permissions or choose another --to",
        ) from exc


def check_directory(directory: Path, expected_size: int | None) -> None:
    """Raise DestinationUnusable unless a file of that many bytes could be made in the directory."""
    if not directory.exists():
        raise DestinationUnusable(
            f"directory {directory} does not exist", hint=f"make it first: mkdir -p {directory}"
        )
    if not directory.is_dir():
        raise DestinationUnusable(f"{directory} is not a directory", hint="choose another --to")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise DestinationUnusable(
            f"directory {directory} is not writable for this user",
            hint="change its permissions or choose another --to",
        )
    check_room(directory, expected_size)


def check_room(directory: Path, expected_size: int | None) -> None:
    """Raise DestinationUnusable when the directory's file system has less room than is needed."""
    system = os.statvfs(directory)
    free = system.f_bavail * system.f_frsize
    if expected_size is not None and free < expected_size:
        raise DestinationUnusable(
            f"about {expected_size:,} bytes are needed, but the file system of {directory} has {free:,} free",
            hint="make room there or choose another --to",
        )


def holds(target: Path, *, size: int, sha256: str) -> bool:
    """Whether a regular file is there with exactly these bytes."""
    try:
        found = target.stat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == size and _digest(target) == sha256


def deliver_file(archive: Archive, target: Path, context: DeliveryContext, *, replace: bool) -> None:
    """Move the archive to ``target``, or finish what a killed delivery began."""
    context.check_stop()
    source = _local(archive)
    begun = bool(context.checkpoint.load().get("target") == str(target))
    if (begun or not source.exists()) and holds(target, size=archive.size, sha256=archive.sha256):
        forget(context.checkpoint)  # a kill just after the copy got its name leaves its first name too
        source.unlink(missing_ok=True)
        return
    with refusing(target.parent):
        if source.exists() and source.stat().st_dev != target.parent.stat().st_dev:
            check_room(target.parent, archive.size)
    context.checkpoint.save({"source": str(source), "target": str(target)})
    try:
        _move(source, target, context, size=archive.size, replace=replace)
    except FileExistsError as exc:
        raise already_there(target) from exc
    except OSError as exc:
        raise _failed(source, target, exc) from exc


def forget(checkpoint: Checkpoint) -> None:
    """Remove the half-written copy that a killed delivery left beside its target."""
    left = checkpoint.load()
    if "source" in left and "target" in left:
        with contextlib.suppress(OSError):
            atomic.forget_move(Path(left["source"]), Path(left["target"]))


def already_there(target: Path) -> DestinationUnusable:
    """The error for a target that must not be replaced."""
    return DestinationUnusable(
        f"{target} already exists", hint="use --force to replace it, or choose another --to"
    )


def _move(source: Path, target: Path, context: DeliveryContext, *, size: int, replace: bool) -> None:
    meter = Meter(context.job.id, size, context.listener)

    def progress(done: int, _total: int) -> None:
        context.check_stop()
        meter.reach(done)

    source.chmod(0o600)
    atomic.move_file(source, target, replace=replace, progress=progress)


def _local(archive: Archive) -> Path:
    if archive.path is None:
        raise DestinationUnusable(
            "the archive is not a local file and cannot be moved", hint="leave out --no-local-copy"
        )
    return Path(archive.path)


def _failed(source: Path, target: Path, exc: OSError) -> DestinationUnusable:
    kind = DeliveryInterrupted if exc.errno in _MAY_PASS else DestinationUnusable
    return kind(
        f"the archive could not be moved to {target}: {exc.strerror or exc}",
        hint=f"it is kept at {source}; put right what is wrong, then: packmule resume",
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
