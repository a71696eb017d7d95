"""The embedded instance: a real PostgreSQL from a pip wheel with GitLab's tables and storage directories.

It is a source like any other (read through ``gitlab_db``), and the only one that packmule writes to: for
``import``, ``demo`` and tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from export_core.source import Source
    from export_core.workspace import Home


def build(name: str, settings: Mapping[str, Any], home: Home) -> Source:  # noqa: ARG001 - it has no settings
    """The embedded instance below ``home`` as a source."""
    from export_core.sources.embedded.instance import EmbeddedInstance
    from export_core.sources.embedded.source import EmbeddedSource

    return EmbeddedSource(name, EmbeddedInstance(home))
