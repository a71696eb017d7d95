"""Where the archives of several projects go: one ``--to`` for all of them, another place for each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from export_core.errors import DestinationUnusable, UsageError

PROJECT = "{project}"


def destination(to: str | None, project: str, strategy: str | None, *, make: bool) -> str | None:
    """``--to`` of a single export: as for several ones where it holds ``{project}``."""
    if to is None or PROJECT not in to:
        return to
    return destinations(to, [project.strip("/") or "root"], strategy, make=make)[0]


def destinations(
    to: str | None, projects: Sequence[str], strategy: str | None = None, *, make: bool = True
) -> list[str | None]:
    """``--to`` for each project, in their order; None stays None: packmule's own store.

    A directory gets ``group/project.tar.gz`` below it, folders as the groups are. ``{project}`` stands for
    the full path anywhere; an S3 key understands more (``{job}``, ``{date}``, ``{file}``) and is left as it
    is. ``make`` has the folders made that groups ask for. Raises UsageError when all would go to the same
    place, DestinationUnusable without the directory.
    """
    if to is None:
        return [None] * len(projects)
    if to.startswith("s3://"):
        return [_key_template(to)] * len(projects)
    is_path = "://" not in to and not to.startswith("embedded:") and strategy in (None, "move-file")
    template = _template_of(to) if is_path else to
    if PROJECT not in template:
        hint = "--to names a directory, or holds {project}" if is_path else "put {project} into --to"
        raise UsageError("all projects would go to the same place", hint=hint)
    if is_path:
        return [_place(template, project, make=make) for project in projects]
    quoted = [quote(project) if "://" in template else project for project in projects]
    return [template.replace(PROJECT, project) for project in quoted]


def _key_template(to: str) -> str:
    _, _, key = to.removeprefix("s3://").partition("/")
    if key and not key.endswith("/") and not any(name in key for name in (PROJECT, "{job}", "{file}")):
        raise UsageError(
            "all projects would go to the same place",
            hint="end the key with / or put {project}, {job} or {file} into it",
        )
    return to


def _template_of(to: str) -> str:
    if PROJECT not in to and (to.endswith("/") or Path(to).expanduser().is_dir()):
        return f"{to.rstrip('/') or '/'}/{PROJECT}.tar.gz"
    return to


def _place(template: str, project: str, *, make: bool) -> str:
    """The file of a project; the directories that its path asks for are made, those above must exist."""
    parts = project.split("/")
    if {"", ".", ".."} & {*parts}:
        raise UsageError(f"{project!r} cannot become a file name", hint="leave it out with --exclude")
    base = Path(template[: template.index(PROJECT)] + "x").expanduser().absolute().parent
    if not base.is_dir():
        raise DestinationUnusable(f"directory {base} does not exist", hint=f"make it first: mkdir -p {base}")
    target = Path(template.replace(PROJECT, project)).expanduser().absolute()
    try:
        if make:
            _make(target.parent)
    except OSError as exc:
        raise DestinationUnusable(
            f"directory {target.parent} cannot be made: {exc.strerror}",
            hint="change the permissions above it, or choose another --to",
        ) from exc
    return str(target)


def _make(directory: Path) -> None:
    if not directory.is_dir():
        _make(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)
