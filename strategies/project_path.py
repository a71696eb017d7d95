"""The path of a project that is to be created, where one is there already."""

from __future__ import annotations

from export_core.errors import DestinationUnusable


def taken(path: str, where: str) -> DestinationUnusable:
    """The error for a project that exists already."""
    return DestinationUnusable(
        f"{where} has a project {path} already", hint="choose another path, or delete that project first"
    )
