"""The doors through which the engine writes files: private, durable, and never half under a final name."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from export_core.errors import ExportFailed

COPY_BLOCK = 8 << 20
"""Bytes copied between two calls of a progress callback."""

_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_NO_KERNEL_COPY = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM}

Progress = Callable[[int, int], None]
"""Told bytes done and bytes in total. May raise to stop the copy."""


def create_private(path: Path) -> int:
    """Open a new or emptied file for reading and writing, mode 0600 whatever the umask; a descriptor."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    os.chmod(fd, 0o600)  # noqa: PTH101  (a umask may have taken bits away)
    return fd


def private_directory(path: Path) -> Path:
    """Make a directory and its missing parents, mode 0700 whatever the umask."""
    if not path.is_dir():
        private_directory(path.parent)
        with contextlib.suppress(FileExistsError):
            path.mkdir(0o700)
            path.chmod(0o700)
    return path


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write everything, also where the system takes only a part of it at a time."""
    written = os.write(fd, data)
    while written < len(data):
        data = memoryview(data)[written:]
        written = os.write(fd, data)


def sync_file(fd: int) -> None:
    """Make a file's bytes and its length durable."""
    getattr(os, "fdatasync", os.fsync)(fd)  # macOS has no fdatasync


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable; silently nothing where a file system cannot."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as exc:
        if exc.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EBADF}:
            raise
    finally:
        os.close(fd)


@contextlib.contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Turn an OSError of packmule's own files into ExportFailed with a hint that fits."""
    try:
        yield
    except OSError as exc:
        full = exc.errno in {errno.ENOSPC, errno.EDQUOT}
        hint = (
            "free some space, then run: packmule resume" if full else "see to the cause, then packmule resume"
        )
        raise ExportFailed(f"cannot {what}: {exc.strerror or exc}", hint=hint) from exc


def move_file(source: Path, target: Path, *, replace: bool, progress: Progress | None = None) -> None:
    """Move a file to its final name, durably, mode 0600; ``target`` is never seen half-written.

    Without ``replace`` an existing target is never overwritten, also not in a race: FileExistsError. A
    move that was killed can be repeated: it takes up its own leftovers. Other errors are OSError.
    """
    if _is_same_file(source, target):
        if source.stat().st_nlink > 1:
            source.unlink()  # killed between link and unlink
        return
    try:
        _publish(source, target, replace=replace)
    except OSError as exc:
        if exc.errno != errno.EXDEV:
            raise
        _move_by_copy(source, target, replace=replace, progress=progress)
    sync_directory(target.parent)


def forget_move(source: Path, target: Path) -> None:
    """Remove what a killed ``move_file`` of the same two paths left beside the target, if anything."""
    _temporary_beside(source, target).unlink(missing_ok=True)


def _is_same_file(source: Path, target: Path) -> bool:
    # A symbolic link to the source is another name, not another file: it may be replaced.
    return source.exists() and target.exists() and not target.is_symlink() and source.samefile(target)


def _publish(source: Path, target: Path, *, replace: bool) -> None:
    if replace:
        source.replace(target)
        return
    try:
        target.hardlink_to(source)
    except OSError as exc:
        if exc.errno not in _NO_HARD_LINKS:
            raise
        _publish_over_placeholder(source, target)
    else:
        source.unlink()


def _publish_over_placeholder(source: Path, target: Path) -> None:
    # Without hard links: an empty file of our own holds the name, so that nobody else's is replaced.
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    try:
        source.replace(target)
    except OSError:
        target.unlink(missing_ok=True)
        raise


def _move_by_copy(source: Path, target: Path, *, replace: bool, progress: Progress | None) -> None:
    if not replace and os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    temporary = _temporary_beside(source, target)
    try:
        fd = create_private(temporary)
        with open(fd, "wb") as out, source.open("rb") as data:  # noqa: PTH123
            _copy(data, out, progress or _tell_nobody)
            out.flush()
            os.fsync(out.fileno())
        _publish(temporary, target, replace=replace)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    source.unlink()


def _tell_nobody(done: int, total: int) -> None:
    pass


def _temporary_beside(source: Path, target: Path) -> Path:
    # The same name for the same move, so that one repeated after a kill leaves nothing behind; another
    # name for any other move, so that two never write into one file.
    key = "\0".join((os.uname().nodename, os.path.abspath(source), target.name))  # noqa: PTH100
    return (
        target.parent
        / f".packmule-{hashlib.sha256(key.encode(errors='surrogateescape')).hexdigest()[:16]}.tmp"
    )


def _copy(source: BinaryIO, target: BinaryIO, progress: Progress) -> None:
    total = os.fstat(source.fileno()).st_size
    done = 0
    while done < total and (count := _kernel_copy(source.fileno(), target.fileno(), total - done)):
        done += count
        progress(done, total)
    source.seek(done)
    target.seek(done)
    while block := source.read(COPY_BLOCK):
        target.write(block)
        done += len(block)
        progress(done, total)


def _kernel_copy(source: int, target: int, count: int) -> int:
    """Bytes copied without passing through this process; 0 where the system cannot."""
    try:
        return os.copy_file_range(source, target, min(count, COPY_BLOCK))
    except AttributeError:
        return 0
    except OSError as exc:
        if exc.errno in _NO_KERNEL_COPY:
            return 0
        raise
