"""What ``verify`` found: problems that stop GitLab's importer, warnings that do not, counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MOST_OF_A_KIND = 50
"""Problems of one file that are listed one by one; further ones are counted."""


@dataclass(slots=True)
class RelationCount:
    """One relation of an archive: records, and bytes of its file (of all its files)."""

    name: str
    lines: int = 0
    bytes: int = 0


@dataclass(slots=True)
class VerifyReport:
    """The answer to: would GitLab import it, and is it whole."""

    archive: str
    size: int = 0
    unpacked_size: int = 0
    version: str | None = None
    gitlab_version: str | None = None
    relations: dict[str, RelationCount] = field(default_factory=dict)
    unknown_relations: list[str] = field(default_factory=list)
    unknown_keys: Counter[str] = field(default_factory=Counter)
    """Keys that GitLab 18.9 does not know, as ``relation.child.key``, with the number of records."""
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _kinds: Counter[str] = field(default_factory=Counter)

    @property
    def importable(self) -> bool:
        """Whether nothing was found that would stop the importer."""
        return not self.problems

    def relation(self, name: str) -> RelationCount:
        """The count of a relation, begun when it is new."""
        return self.relations.setdefault(name, RelationCount(name))

    def problem(self, message: str, *, file: str | None = None) -> None:
        """Record what stops the importer; of one ``file`` only so many are listed."""
        place = file or ""
        self._kinds[place] += 1
        if not file or self._kinds[place] <= MOST_OF_A_KIND:
            self.problems.append(message if message.startswith(place) else f"{place}: {message}")

    def warning(self, message: str) -> None:
        """Record what the user should know although the importer goes on."""
        self.warnings.append(message)

    def close(self) -> None:
        """Say how many problems were counted only."""
        for place, count in self._kinds.items():
            if place and count > MOST_OF_A_KIND:
                self.problems.append(f"{place}: and {count - MOST_OF_A_KIND} more problems of this file")

    def to_json(self) -> Mapping[str, Any]:
        """The document that ``verify --json`` prints."""
        return {
            "archive": self.archive,
            "importable": self.importable,
            "size": self.size,
            "unpacked_size": self.unpacked_size,
            "version": self.version,
            "gitlab_version": self.gitlab_version,
            "relations": [
                {"name": count.name, "lines": count.lines, "bytes": count.bytes}
                for count in self.relations.values()
            ],
            "unknown_relations": self.unknown_relations,
            "unknown_keys": dict(sorted(self.unknown_keys.items())),
            "problems": self.problems,
            "warnings": self.warnings,
        }
