"""What all readers of one snapshot find alike: tables, rules, statements. Found out once in a process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable
from functools import lru_cache
from typing import Any, TypeVar

from export_core.gitlab.tree import Node
from export_core.sources.gitlab_db.renderings import Renderer
from export_core.sources.gitlab_db.sql import Query, relation_query

T = TypeVar("T")
_SNAPSHOTS = 4
"""So many are remembered: those of the projects that one process exports at a time."""


class Knowledge:
    """Facts by key, for any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._facts: dict[Hashable, Any] = {}

    def get(self, key: Hashable, find: Callable[[], T]) -> T:
        """A fact; whoever asks first finds it out while the others wait."""
        with self._lock:
            if key not in self._facts:
                self._facts[key] = find()
            fact: T = self._facts[key]
            return fact

    def tell(self, key: Hashable, fact: object) -> None:
        """Make a fact known that was found out elsewhere."""
        with self._lock:
            self._facts[key] = fact

    def query(self, renderer: Renderer, node: Node, *, pruned: bool, databases: Iterable[str]) -> Query:
        """``relation_query`` for one of the tree's own relations, which are known by their names."""
        return self.get(
            ("query", node.name, pruned),
            lambda: relation_query(renderer, node, pruned=pruned, databases=databases),
        )


def knowledge_of(snapshot: str) -> Knowledge:
    """What is known of a snapshot, by the name that its token gives it; without a name: nothing yet."""
    return _remembered(snapshot) if snapshot else Knowledge()


@lru_cache(maxsize=_SNAPSHOTS)
def _remembered(snapshot: str) -> Knowledge:  # noqa: ARG001 -- the cache's key
    return Knowledge()
