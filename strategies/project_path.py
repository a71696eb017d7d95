"""Full paths of projects that are to be created."""

from __future__ import annotations

import re

from export_core.errors import DestinationUnusable, UsageError

_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_RESERVED_ENDINGS = (".git", ".atom", ".")


def check_full_path(path: str) -> str:
    """The path without slashes around it. Raises UsageError unless GitLab would allow it."""
    parts = path.strip("/").split("/")
    if len(parts) < 2:
        raise UsageError(f"{path!r} names no group", hint="write the new project as group/project")
    for part in parts:
        if not _SEGMENT.fullmatch(part) or part.endswith(_RESERVED_ENDINGS) or len(part) > 255:
            raise UsageError(
                f"{part!r} in {path!r} cannot be part of a project's path",
                hint="use letters, digits, '_', '-' and '.', and do not begin with '-' or '.'",
            )
    return "/".join(parts)


def taken(path: str, where: str) -> DestinationUnusable:
    """The error for a project that exists already."""
    return DestinationUnusable(
        f"{where} has a project {path} already", hint="choose another path, or delete that project first"
    )
