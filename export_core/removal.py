"""Carries a clean-up plan out: the only code that deletes work directories, archives and job rows.

Every removal first asks the job store, in one transaction, whether it is still allowed; a job that came back
to life since the plan was made is left alone. One removal that fails is reported and does not stop the
others; whatever is left is found again by the next plan.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from export_core.cleaner import Facts, OnDisk, Removal, RemovalKind
from export_core.errors import ExportFailed, NotFound, PackmuleError
from export_core.job import ErrorInfo
from export_core.workspace import Home

TAKEN_AWAY = ".removing-"
"""Begins the name of a work directory that is being deleted; nobody looks into it any more."""


class RemovalRecords(Protocol):
    """What the carrying out asks of the job store (see ``JobStore``)."""

    def retire(self, job_id: int, error: ErrorInfo, take_away: Callable[[], object]) -> None:
        """Give up a job's work."""
        ...

    def delete(self, job_id: int) -> None:
        """Forget a job."""
        ...

    def remove_archive(self, path: str, job_ids: Iterable[int], unlink: Callable[[], object]) -> None:
        """Remove an archive to which only these jobs refer."""
        ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What removals work with."""

    home: Home
    records: RemovalRecords
    abandon: Callable[[int], None]
    """Removes what a job's unfinished delivery left at its destination, and forgets its checkpoint."""
    stop_embedded: Callable[[], object]
    """Stops the embedded server if nobody uses it."""
    remove_embedded: Callable[[], object]
    """Removes the embedded instance if nobody uses it."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a removal; ``error`` is None when it was done."""

    removal: Removal
    error: str | None = None


def look_around(home: Home, uploads: frozenset[int]) -> Facts:
    """What lies in packmule's own directory. Read the jobs after this, not before."""
    archives = (
        OnDisk(str(path), _job_id(directory.name), _size(path))
        for directory in _entries(home.archives)
        for path in (_entries(directory) if directory.is_dir() else (directory,))
    )
    directories = (OnDisk(str(path), _job_id(path.name), _size(path)) for path in _entries(home.jobs))
    return Facts(work_directories=tuple(directories), archives=tuple(archives), uploads=uploads)


def apply_cleanup(removals: Iterable[Removal], tools: Tools) -> Iterator[Result]:
    """Carry out a plan, one removal after the other. A job's row stays when something of it could not go."""
    incomplete: set[int] = set()
    for removal in removals:
        error = _attempt(removal, tools, incomplete)
        if error is not None:
            incomplete.update(removal.jobs)
        yield Result(removal, error)


def _attempt(removal: Removal, tools: Tools, incomplete: set[int]) -> str | None:
    if removal.kind is RemovalKind.JOB and incomplete.intersection(removal.jobs):
        return "kept, because something of it could not be removed"
    try:
        _remove(removal, tools)
    except NotFound:
        return None  # somebody else has removed it meanwhile
    except PackmuleError as exc:
        return exc.message
    except Exception as exc:  # noqa: BLE001 -- a plug-in's fault must not keep the rest from being removed
        return f"{type(exc).__name__}: {exc}"
    return None


def _remove(removal: Removal, tools: Tools) -> None:
    match removal.kind:
        case RemovalKind.EXPIRED_JOB:
            _give_up(removal, tools, _nothing)
        case RemovalKind.UPLOAD:
            _give_up(removal, tools, _nothing)
            tools.abandon(removal.jobs[0])
        case RemovalKind.WORK_DIRECTORY:
            _remove_work_directory(removal, tools)
        case RemovalKind.ARCHIVE:
            _remove_archive(removal, tools)
        case RemovalKind.JOB:
            tools.records.delete(removal.jobs[0])
        case RemovalKind.EMBEDDED_SERVER:
            tools.stop_embedded()
        case RemovalKind.EMBEDDED_INSTANCE:
            tools.remove_embedded()


def _give_up(removal: Removal, tools: Tools, take_away: Callable[[], object]) -> None:
    job_id = removal.jobs[0]
    hint = f"packmule resume {job_id} starts it over."
    error = ErrorInfo("Expired", f"the job was interrupted and given up: {removal.reason}", hint)
    tools.records.retire(job_id, error, take_away)


def _remove_work_directory(removal: Removal, tools: Tools) -> None:
    """Move the directory aside while nobody can claim the job, then delete it at leisure."""
    path = _inside(tools.home.jobs, removal.target)
    aside = path.with_name(f"{TAKEN_AWAY}{path.name}-{uuid.uuid4().hex[:8]}")
    if removal.jobs:
        _give_up(removal, tools, partial(_move_aside, path, aside))
    else:
        _move_aside(path, aside)
    _delete_tree(aside)


def _remove_archive(removal: Removal, tools: Tools) -> None:
    path = Path(removal.target)
    there = os.path.lexists(path)
    unlink = partial(_delete_tree, _inside(tools.home.archives, removal.target)) if there else _nothing
    tools.records.remove_archive(removal.target, removal.jobs, unlink)
    if there and path.parent.resolve() != tools.home.archives.resolve():
        with suppress(OSError):  # not empty: another archive lies there
            path.parent.rmdir()


def _move_aside(path: Path, aside: Path) -> None:
    with suppress(FileNotFoundError):
        path.rename(aside)


def _delete_tree(path: Path) -> None:
    """Delete a file or a whole directory; what is gone already is no error."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, onerror=_unless_missing)  # ``onexc`` came with Python 3.12
    else:
        path.unlink(missing_ok=True)


def _unless_missing(
    _function: object, path: str, failure: tuple[type[BaseException], BaseException, object]
) -> None:
    if not isinstance(failure[1], FileNotFoundError):
        said = getattr(failure[1], "strerror", None) or failure[1]
        raise ExportFailed(
            f"{path} cannot be removed: {said}", hint="change its permissions; packmule clean tries again"
        ) from failure[1]


def _inside(parent: Path, target: str) -> Path:
    """The path of a target, which must lie below ``parent``: nothing else is ever deleted."""
    path = Path(os.path.normpath(target))
    if not path.parent.resolve().is_relative_to(parent.resolve()):
        raise ExportFailed(f"{target} does not lie in {parent} and is left alone")
    return path


def _nothing() -> None:
    """Take nothing away."""


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _job_id(name: str) -> int | None:
    return int(name) if name.isascii() and name.isdigit() else None


def _size(path: Path) -> int:
    """Bytes of a file, or of all files below a directory; what vanishes meanwhile counts nothing."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            return sum(_size(entry) for entry in _entries(path))
        return path.lstat().st_size
    return 0
