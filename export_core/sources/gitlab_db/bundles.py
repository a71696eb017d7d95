"""Which repositories an export bundles: where each should be, and what it means when one is not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from export_core import git
from export_core.errors import SourceUnavailable
from export_core.gitlab import layout
from export_core.source import Part
from export_core.sources.gitlab_db.projects import readable
from export_core.sources.gitlab_db.repositories import repository_paths
from export_core.sources.gitlab_db.snippets import snippet_repositories

if TYPE_CHECKING:
    from export_core.sources.gitlab_db.planning import Planner

MANY_REFS = 50_000
"""More than these take git before 2.50 a very long time: it compares each with each."""

# What the database holds only when something was once committed to the repository.
_SIGNS_OF_LIFE = {
    "repository": ("project_statistics", "commit_count > 0 OR repository_size > 0"),
    "wiki_repository": ("project_statistics", "wiki_size > 0"),
    "design_repository": ("design_management_designs", "TRUE"),
}


def bundle_parts(planner: Planner, chosen: set[str]) -> Iterator[Part]:
    """A part for each repository with a branch. Raises SourceUnavailable before any work is done."""
    paths = repository_paths(planner.project, planner.settings.storage)
    wanted = [relation for relation in layout.BUNDLES if relation in chosen]
    for relation in wanted:
        storage, path = planner.project.storage, paths[relation]
        _check_storage(planner, storage, wanted)
        if path is None:
            _report_outside(planner, relation, planner.project.disk_path)
        elif _usable(planner, relation, path):
            yield _part(relation, 0, layout.BUNDLES[relation], path)
    if not wanted:
        _warn_of_lost_branches(planner, chosen)
    if "snippets_repository" in chosen:
        yield from _snippets(planner)


def _warn_of_lost_branches(planner: Planner, chosen: set[str]) -> None:
    """Some attributes come from the repository, whether it is exported itself or not."""
    path = repository_paths(planner.project, planner.settings.storage)["repository"]
    if chosen & {"project", "merge_requests"} and (path is None or not path.parent.is_dir()):
        planner.warnings.append(
            f"the repository storage {planner.project.storage!r} cannot be read, so that source_branch_sha,"
            " target_branch_sha and default_branch are null"
        )


def _snippets(planner: Planner) -> Iterator[Part]:
    number = 0
    for digest, storage, disk_path in snippet_repositories(planner):
        _check_storage(planner, storage, ["snippets_repository"])
        path = planner.settings.storage.repository(storage, disk_path)
        if path is None:
            _report_outside(planner, "snippets_repository", disk_path)
        elif _usable(planner, "snippets_repository", path):
            yield _part("snippets_repository", number, layout.snippet_member(digest), path)
            number += 1


def _report_outside(planner: Planner, relation: str, disk_path: str) -> None:
    """The storage is there, so it is the path that leads out of it: never read, it counts as missing."""
    planner.report_missing(f"{relation}: the database names a repository outside its storage: {disk_path!r}")


def _usable(planner: Planner, relation: str, path: Path) -> bool:
    """Whether there is something to bundle; tells what is lost, and what will take long."""
    if not git.exists(path):
        if _should_exist(planner, relation):
            planner.report_missing(f"{relation}: there is no repository at {path}")
        return False
    if not git.has_branch(path):
        return False
    for place in git.lost_alternates(path):
        planner.report_missing(f"{relation}: {path} borrows objects from {place}, which cannot be read")
    if git.version() < git.FAST_BUNDLES and git.count_refs(path, MANY_REFS + 1) > MANY_REFS:
        planner.warnings.append(
            f"{relation}: more than {MANY_REFS} refs; git {'.'.join(map(str, git.version()))} takes very long"
            " to bundle that many, git 2.50 or newer does not"
        )
    return True


def _should_exist(planner: Planner, relation: str) -> bool:
    """Whether the database says that something was committed there. An import's shell has no repository."""
    if planner.settings.rules.stored:
        return False
    if relation == "snippets_repository":
        return True
    table, sign = _SIGNS_OF_LIFE[relation]
    connection = planner.connection("main")
    if not readable(connection, table):
        return False
    query = f"SELECT EXISTS (SELECT FROM {table} WHERE project_id = %s AND ({sign}))"
    return bool(connection.execute(query, (planner.project.id,)).fetchall()[0][0])


def _check_storage(planner: Planner, storage: str, relations: list[str]) -> None:
    """Raise SourceUnavailable, naming the flag, unless a storage's directory is configured and there."""
    root = planner.settings.storage.repositories.get(storage)
    flags = f"--skip {','.join(relations)}"
    if root is None:
        raise SourceUnavailable(
            f"{relations[0]} cannot be read: no path is configured for the repository storage {storage!r}",
            hint=f"set `repositories` of the source in config.toml, or {flags}",
        )
    if not Path(root).is_dir():
        raise SourceUnavailable(
            f"the repository storage {storage!r} is not there: {root} is no directory",
            hint=f"mount it, correct `repositories` of the source in config.toml, or {flags}",
        )


def _part(relation: str, number: int, member: str, repository: Path) -> Part:
    payload = {"kind": "bundle", "path": str(repository)}
    return Part(relation, number, f"./{member}", payload, git.pack_size(repository))
