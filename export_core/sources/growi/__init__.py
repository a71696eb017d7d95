"""GROWI wikis: pages as Markdown, read from MongoDB or over the REST API v3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from export_core.sources.growi.source import DEMO_URL, GrowiSource
from export_core.workspace import Home

__all__ = ["DEMO_URL", "GrowiSource", "build"]


def build(name: str, settings: Mapping[str, Any], home: Home) -> GrowiSource:  # noqa: ARG001 - wikis keep nothing here
    """A wiki with these settings. See ``export_core.sources``."""
    return GrowiSource(name, dict(settings))
