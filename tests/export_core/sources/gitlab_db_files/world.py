"""A GitLab to read: rows in the embedded instance's database, files in storage directories of the test's own.

Rows are written by hand, as GitLab writes them; repositories are made by git.
"""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export_core.gitlab import layout
from export_core.source import Part, Plan, Selection
from export_core.sources.embedded.instance import EmbeddedInstance
from export_core.sources.embedded.namespaces import ProjectShell, create_project_shell
from export_core.sources.gitlab_db.configured import gitlab_settings
from export_core.sources.gitlab_db.source import GitlabSource
from tests.export_core.sources.contract import Content, content_of

_NUMBERS = itertools.count(1)
WHO = ("-c", "user.name=A", "-c", "user.email=a@example.com")


def git(*words: str, cwd: Path | None = None) -> str:
    """Plain git, with nothing of this machine's configuration."""
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *WHO, *words], cwd=cwd, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def refs(repository: Path) -> set[str]:
    """``<id> <name>`` of every ref."""
    lines = git("-c", "safe.directory=*", "--git-dir", str(repository), "for-each-ref").splitlines()
    return {f"{line.split()[0]} {line.split()[2]}" for line in lines}


def make_repository(path: Path, *words: str, commits: int = 2) -> Path:
    """A bare repository with a branch, a tag and refs such as GitLab's."""
    git("init", "-q", "--bare", "--initial-branch=main", *words, str(path))
    if not commits:
        return path
    tree = git("--git-dir", str(path), "mktree", cwd=path).strip()
    parents: list[str] = []
    for number in range(commits):
        sha = git(
            "--git-dir", str(path), "commit-tree", *parents, "-m", f"{number} {path.name}", tree
        ).strip()
        parents = ["-p", sha]
    for ref in ("heads/main", "heads/other", "tags/v1", "merge-requests/1/head", f"keep-around/{sha}"):
        git("--git-dir", str(path), "update-ref", f"refs/{ref}", sha)
    return path


@dataclass(frozen=True)
class World:
    """``root`` holds the storage directories."""

    instance: EmbeddedInstance
    root: Path

    @property
    def repositories(self) -> Path:
        return self.root / "repositories"

    @property
    def uploads(self) -> Path:
        return self.root / "public" / "uploads"

    @property
    def shared(self) -> Path:
        return self.root / "shared"

    def settings(self, **more: Any) -> dict[str, Any]:
        """As in config.toml."""
        return {
            "database": self.instance.server.dsn(),
            "repositories": {"default": str(self.repositories)},
            "uploads": str(self.uploads),
            "shared": str(self.shared),
            **more,
        }

    def source(self, **more: Any) -> GitlabSource:
        return GitlabSource("test", gitlab_settings("test", self.settings(**more)))

    def run(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """One statement, committed."""
        with self.instance.connect() as connection:
            cursor = connection.execute(query, values)
            return cursor.fetchall() if cursor.description else []

    def insert(self, table: str, **values: Any) -> int:
        """A row; its id."""
        names, marks = ", ".join(values), ", ".join(["%s"] * len(values))
        rows = self.run(f"INSERT INTO {table} ({names}) VALUES ({marks}) RETURNING 1", *values.values())
        return int(rows[0][0])

    def project(self, path: str | None = None) -> ProjectShell:
        with self.instance.connect() as connection:
            return create_project_shell(connection, path or f"files/p{next(_NUMBERS)}")

    def repository(self, disk_path: str, suffix: str = "") -> Path:
        return self.repositories / f"{disk_path}{suffix}.git"

    def shard(self, name: str) -> int:
        found = self.run("SELECT id FROM shards WHERE name = %s", name)
        if not found:
            found = self.run("INSERT INTO shards (name) VALUES (%s) RETURNING id", name)
        return int(found[0][0])

    def upload(self, shell: ProjectShell, path: str, **values: Any) -> None:
        """A row of ``uploads``."""
        row = {"uploader": layout.FILE_UPLOADER, "store": 1, "mount_point": None, "secret": None, **values}
        self.insert(
            "uploads", size=1, path=path, model_id=shell.project_id, model_type="Project", version=2, **row
        )

    def lfs(
        self, shell: ProjectShell, oid: str, size: int, *, store: int | None = 1, kind: int | None = 0
    ) -> None:
        """Rows of an LFS object and its link."""
        found = self.run(
            "INSERT INTO lfs_objects (oid, size, file, file_store) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (oid) DO UPDATE SET size = excluded.size RETURNING id",
            *(oid, size, oid[4:], store),
        )
        self.insert(
            "lfs_objects_projects",
            lfs_object_id=found[0][0], project_id=shell.project_id, repository_type=kind, oid=oid,
        )  # fmt: skip

    def export(self, shell: ProjectShell, *only: str, **options: Any) -> Exported:
        return export(self.source(), shell.full_path, only, options)


@dataclass(frozen=True)
class Exported:
    """A plan and all that its parts give."""

    plan: Plan
    members: Mapping[str, bytes]

    @property
    def deferred(self) -> list[Part]:
        return [part for part in self.plan.parts if part.deferred]


def export(source: GitlabSource, path: str, only: tuple[str, ...], options: Mapping[str, Any]) -> Exported:
    """Plan and read some relations; contents by member without ``./``."""
    members: dict[str, bytes] = {}
    with closing(source.open(path, options)) as snapshot, closing(source.reader(snapshot.token)) as reader:
        plan = snapshot.plan(Selection(only=only))
        for part in plan.parts:
            content: Content = content_of(reader, part)
            if part.member is not None:
                members[part.member[2:]] = members.get(part.member[2:], b"") + content.written
            members |= {name[2:]: data for name, data in content.files}
    return Exported(plan, members)


def put(path: Path, data: bytes) -> Path:
    """A file with all its directories."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
