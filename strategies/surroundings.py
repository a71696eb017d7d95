"""What strategies are handed by ``cli/wiring.py`` because they may not know it themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Callables of the other parts of packmule; none of them is stored with a job."""

    load_archive: Callable[[Path, str], Mapping[str, Any]] | None = None
    """Load an archive into the embedded instance under a full path; says what was loaded."""
    project_exists: Callable[[str], bool] | None = None
    """Whether the embedded instance has a project of that full path."""
    secret: Callable[[str], str | None] | None = None
    """Look a secret up by name in config.toml or the keyring (``gitlab:HOST``: a token for that GitLab)."""
