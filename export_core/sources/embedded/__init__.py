"""The embedded instance: a real PostgreSQL from a pip wheel with GitLab's tables and storage directories.

It is a source like any other (read through ``gitlab_db``), and the only one that packmule writes to: for
``import``, ``demo`` and tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from export_core.source import Source
    from export_core.workspace import Home


def build(name: str, settings: Mapping[str, Any], home: Home) -> Source:  # noqa: ARG001 - it has no settings
    """The embedded instance below ``home`` as a source."""
    from export_core.sources.embedded.instance import EmbeddedInstance
    from export_core.sources.embedded.source import EmbeddedSource

    return EmbeddedSource(name, EmbeddedInstance(home))


def load_archive(home: Home, archive: Path, full_path: str) -> Mapping[str, Any]:
    """Load an archive as a new project of the instance below ``home``; what was loaded, as a JSON object.

    Raises UsageError, DestinationUnusable, NotFound, ArchiveInvalid, SourceUnavailable; then nothing changed.
    """
    from export_core.sources.embedded import loader
    from export_core.sources.embedded.instance import EmbeddedInstance

    loader.check(archive, full_path)
    instance = EmbeddedInstance(home)
    with instance.session():
        return loader.load_archive(instance, archive, full_path).to_json()
