"""Keeps a finished archive when creating a project from it fails: it took long to make, and may be needed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from export_core.atomic import private_directory
from export_core.delivery import Archive
from export_core.errors import Cancelled, Interrupted, PackmuleError
from export_core.job import Job


@contextlib.contextmanager
def kept_on_failure(archive: Archive, job: Job, store_dir: str | None) -> Iterator[None]:
    """Give an archive a name in packmule's store if the block fails, and say so in the error's hint.

    The name is a second link to the same bytes: it costs no room, and resuming finds the work directory as
    it was. It goes when the block succeeds later.
    """
    try:
        yield
    except (Cancelled, Interrupted):
        raise
    except PackmuleError as exc:
        place = _link(archive, job, store_dir)
        if place is not None:
            exc.hint = "; ".join([*([exc.hint] if exc.hint else []), f"the archive is kept at {place}"])
        raise
    forget_kept(archive.file_name, job, store_dir)


def forget_kept(file_name: str | None, job: Job, store_dir: str | None) -> None:
    """Remove the archive's second name, or without ``file_name`` all that were kept for the job."""
    if store_dir is None:
        return
    directory = Path(store_dir) / str(job.id)
    with contextlib.suppress(OSError):
        for path in [directory / file_name] if file_name else list(directory.iterdir()):
            path.unlink(missing_ok=True)
        directory.rmdir()


def _link(archive: Archive, job: Job, store_dir: str | None) -> Path | None:
    if archive.path is None:
        return None
    if store_dir is None:
        return Path(archive.path)
    target = private_directory(Path(store_dir) / str(job.id)) / archive.file_name
    try:
        with contextlib.suppress(FileNotFoundError):
            target.unlink()
        os.link(archive.path, target)
    except OSError:
        return Path(archive.path)
    return target
