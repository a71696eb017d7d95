"""What a user says about the destination, before a strategy makes its own options of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Words:
    """The destination's words from the command line and config.toml; every strategy reads those it knows."""

    to: str | None = None
    """``--to``: a path, ``s3://bucket/key``, ``https://...`` or ``embedded:group/project``."""
    force: bool = False
    """``--force``: an existing file may be replaced."""
    home: str | None = None
    """packmule's own directory; nothing is delivered into its work directories."""
    store_dir: str | None = None
    """Where archives are kept that stay with packmule (``Home.archives``)."""
    limit_rate: int | None = None
    """``--limit-rate`` in bytes per second (``rate_limit.parse_rate``)."""
    local_copy: bool = True
    """False for ``--no-local-copy``."""
    method: str | None = None
    """``--method``: PUT or POST, for HTTP."""
    headers: tuple[str, ...] = ()
    """``--header "Name: value"``, repeated, for HTTP."""
    endpoint_url: str | None = None
    """``--endpoint-url``, for S3."""
    profile: str | None = None
    """``--profile``, for S3."""
    region: str | None = None
    """``--region``, for S3."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Rarer options by the name of their flag with underscores (``storage_class``, ``sse``, ``timeout``)."""
