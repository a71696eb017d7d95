"""What loading an archive did, and what it could not do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SEE_VERIFY = "packmule verify ARCHIVE lists what is wrong with it"
"""The hint for an archive that cannot be loaded."""


@dataclass(slots=True)
class LoadReport:
    """Counts of what was loaded; names of what the archive has and GitLab 18.9 does not."""

    project: str
    project_id: int = 0
    gitlab_version: str | None = None
    relations: dict[str, int] = field(default_factory=dict)
    """Records of each relation of the archive; repositories, uploads and the like count as files."""
    rows: Counter[str] = field(default_factory=Counter)
    """Rows of each table."""
    unknown_relations: dict[str, int] = field(default_factory=dict)
    unknown_keys: Counter[str] = field(default_factory=Counter)
    """``relation.child.key`` with the number of records that have it."""
    ignored: tuple[str, ...] = ()
    _warnings: Counter[str] = field(default_factory=Counter)

    def warn(self, message: str) -> None:
        """Record what was changed or left out; the same message counts up."""
        self._warnings[message] += 1

    @property
    def warnings(self) -> list[str]:
        """All warnings, repeated ones once with their number."""
        return [
            message if count == 1 else f"{message} ({count} times)"
            for message, count in self._warnings.items()
        ]

    def to_json(self) -> Mapping[str, Any]:
        """The document that ``import --json`` prints."""
        return {
            "project": self.project,
            "project_id": self.project_id,
            "gitlab_version": self.gitlab_version,
            "relations": [{"name": name, "lines": lines} for name, lines in self.relations.items()],
            "rows": sum(self.rows.values()),
            "unknown_relations": self.unknown_relations,
            "unknown_keys": dict(sorted(self.unknown_keys.items())),
            "ignored": list(self.ignored),
            "warnings": self.warnings,
        }
