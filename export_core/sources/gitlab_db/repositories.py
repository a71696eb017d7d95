"""The git repositories of the exported project and of the projects its merge requests come from."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from export_core import git
from export_core.gitlab import layout
from export_core.sources.gitlab_db import push_policies
from export_core.sources.gitlab_db.settings import ProjectRef, Storage

Lookup = Callable[[int], "tuple[str, str] | None"]
"""Project id to (storage, disk path)."""

_READING = threading.Lock()


@lru_cache(maxsize=256)
def _cached_branches(repository: str, snapshot: str) -> dict[str, str]:  # noqa: ARG001 - part of the key
    return git.branches(Path(repository))


def frozen_branches(repository: Path, snapshot: str) -> dict[str, str]:
    """Branches of a repository, read once a snapshot, so that all workers see the same."""
    with _READING:
        return _cached_branches(str(repository), snapshot)


class ProjectRepositories:
    """Answers what the lines need from git: one listing per repository, not a process per question."""

    def __init__(
        self,
        storage: Storage,
        project: ProjectRef,
        snapshot: str,
        lookup: Lookup,
        configured_default: Callable[[], str | None],
        *,
        policies: Callable[[], Sequence[push_policies.Rule]] = tuple,
    ) -> None:
        self._storage = storage
        self._project = project
        self._snapshot = snapshot
        self._lookup = lookup
        self._configured_default = configured_default
        self._policies = policies
        self._places: dict[int, Path | None] = {}

    def branch_sha(self, project_id: int | None, branch: str) -> str | None:
        """Commit of a branch; None when project or branch is gone."""
        if project_id is None:
            return None
        repository = self._place(project_id)
        return None if repository is None else frozen_branches(repository, self._snapshot).get(branch)

    def default_branch(self) -> str | None:
        """The branch that HEAD points to; for an empty repository what groups and instance configure."""
        repository = self._place(self._project.id)
        found = git.head_branch(repository) if repository and repository.is_dir() else None
        return found or self._configured_default()

    def no_commit(self) -> str:
        """The object id of nothing, as long as the project's object ids are."""
        return "0" * (64 if self._project.sha256 else 40)

    def may_be_pushed(self, name: str) -> bool:
        """Whether no security policy forbids pushing to a protected branch of the exported project."""
        place = self._place(self._project.id)
        names = None if place is None else frozen_branches(place, self._snapshot)
        branches = push_policies.Branches(self._project.full_path, names, self.default_branch)
        return not push_policies.forbidden(self._policies(), name, branches)

    def _place(self, project_id: int) -> Path | None:
        if project_id not in self._places:
            place = self._own() if project_id == self._project.id else self._lookup(project_id)
            self._places[project_id] = None if place is None else self._storage.repository(*place)
        return self._places[project_id]

    def _own(self) -> tuple[str, str]:
        return self._project.storage, self._project.disk_path


def repository_paths(project: ProjectRef, storage: Storage) -> dict[str, Path | None]:
    """Where the project's own repositories should be, by relation; None as for ``Storage.repository``."""
    suffixes = {
        "repository": layout.repository,
        "wiki_repository": layout.wiki_repository,
        "design_repository": layout.design_repository,
    }
    root = None if layout.leads_out(project.disk_path) else storage.repositories.get(project.storage)
    return {
        relation: None if root is None else Path(root) / path(project.disk_path)
        for relation, path in suffixes.items()
    }
