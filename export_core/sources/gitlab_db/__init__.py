"""A GitLab read straight from its database and storage directories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from export_core.source import Source
    from export_core.workspace import Home


def build(name: str, settings: Mapping[str, Any], home: Home) -> Source:
    """The source that these settings describe. Raises UsageError."""
    from export_core.sources.gitlab_db.configured import gitlab_settings
    from export_core.sources.gitlab_db.source import GitlabSource

    return GitlabSource(name, gitlab_settings(name, settings), str(home.root))
