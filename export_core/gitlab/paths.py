"""Full paths of projects that are to be created. Source: GitLab 18.9, ``Gitlab::PathRegex``."""

from __future__ import annotations

import re

from export_core.errors import UsageError

_SEGMENT = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]{0,254}")
_FORBIDDEN_ENDINGS = (".git", ".atom", ".")


def check_full_path(path: str) -> str:
    """The path without slashes around it. Raises UsageError unless GitLab would take it."""
    segments = path.strip("/").split("/")
    if len(segments) < 2:
        raise UsageError(f"{path!r} names no group", hint="write the new project as group/project")
    for segment in segments:
        if not _SEGMENT.fullmatch(segment) or segment.endswith(_FORBIDDEN_ENDINGS):
            raise UsageError(
                f"{segment!r} in {path!r} cannot be part of a project's path",
                hint="use letters, digits, '_', '-' and '.'; neither '-' at the beginning nor"
                " '.git', '.atom' or '.' at the end",
            )
    return "/".join(segments)
