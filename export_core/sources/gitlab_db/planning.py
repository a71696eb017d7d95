"""Cuts a project into parts: reads ids in the order of the export, looks for repositories and files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from export_core.errors import ExportFailed
from export_core.gitlab import layout
from export_core.gitlab.tree import RELATIONS, ROOT, Node
from export_core.job import MISSING
from export_core.source import Part, Plan, Selection
from export_core.sources.gitlab_db import members, push_policies, stored_files, visibility
from export_core.sources.gitlab_db.absent import without_license
from export_core.sources.gitlab_db.batches import as_text, cut_of, ids_in, in_batches
from export_core.sources.gitlab_db.bundles import bundle_parts
from export_core.sources.gitlab_db.catalog import Catalog
from export_core.sources.gitlab_db.renderings import Renderer
from export_core.sources.gitlab_db.settings import GitlabSettings, ProjectRef
from export_core.sources.gitlab_db.sql import conditions, order_by
from export_core.sources.gitlab_db.texts import text

if TYPE_CHECKING:
    import psycopg

FILE_RELATIONS = (
    "version",
    "repository",
    "wiki_repository",
    "design_repository",
    "snippets_repository",
    "avatar",
    "uploads",
    "lfs_objects",
)
RELATION_NAMES = ("project", *(node.name for node in RELATIONS), *FILE_RELATIONS)
_SLICES = """
SELECT string_agg(s.id::text, ',' ORDER BY s.place), count(*),
  CASE WHEN count(s.key) = count(*) AND min(s.key) = max(s.key) THEN min(s.key) END
FROM ({rows}) s GROUP BY s.place / {size} ORDER BY s.place / {size}
"""
DEFAULT_GITLAB_VERSION = "18.9.0"


@dataclass(slots=True)
class Planner:
    """Plans one export. ``connections`` by database, all within the snapshot."""

    settings: GitlabSettings
    project: ProjectRef
    connections: Mapping[str, psycopg.Connection[Any]]
    catalogs: Mapping[str, Catalog]
    options: Mapping[str, Any]
    warnings: list[str] = field(default_factory=list)
    _told: Mapping[str, list[int]] = field(default_factory=dict, init=False)
    """The embedded instance's own lists, where columns do not tell which rows were lines."""

    def plan(self, selection: Selection) -> Plan:
        """All parts in the order of the archive."""
        self._told = self._told_lines()
        names = tuple(name for name in RELATION_NAMES if selection.includes(name))
        chosen = set(names)
        parts: list[Part] = []
        if "version" in chosen:
            parts += self._version()
        lfs: list[Part] = []
        if "lfs_objects" in chosen:
            lfs = stored_files.lfs_parts(self)
            parts.append(lfs[0])
        for node in (ROOT, *RELATIONS):
            if node.name in chosen:
                parts += self._relation(node)
        parts += bundle_parts(self, chosen)
        parts += stored_files.parts(self, chosen)
        parts += lfs[1:]
        self.warnings += self._not_as_gitlab(chosen)
        return Plan(tuple(parts), _directories(parts), tuple(self.warnings), names)

    def connection(self, database: str) -> psycopg.Connection[Any]:
        """The connection that sees a database."""
        return self.connections.get(database) or self.connections["main"]

    def catalog(self, database: str) -> Catalog:
        """What a database has."""
        return self.catalogs.get(database) or self.catalogs["main"]

    def report_missing(self, what: str) -> None:
        """Something to export is gone: raise MissingInSource, or with ``--allow-missing`` warn."""
        if not self.options.get("allow_missing"):
            raise MissingInSource(what)
        self.warnings.append(f"{MISSING}{what}")

    def _version(self) -> Iterator[Part]:
        texts = {
            layout.VERSION: layout.FORMAT_VERSION,
            layout.GITLAB_VERSION: self.settings.gitlab_version or DEFAULT_GITLAB_VERSION,
            layout.GITLAB_REVISION: self.settings.gitlab_revision or "Unknown",
        }
        for number, (member, content) in enumerate(texts.items()):
            yield Part("version", number, _member(member), {"kind": "text", "text": content}, len(content))

    def _relation(self, node: Node) -> Iterator[Part]:
        member = _member(layout.ROOT_OBJECT if node is ROOT else layout.relation_member(node.name))
        if node.condition == "false" or without_license(self.settings.rules, "projects", node.name):
            yield Part(node.name, 0, member, {"kind": "text", "text": "null"})
        elif lacking := self._lacking(node):
            self.warnings.append(f"{node.name}: this database has no {lacking}")
        elif not node.many:
            yield Part(node.name, 0, member, {"kind": "rows", "ids": str(self.project.id)}, 1000)
        else:
            yield from self._rows(node, member)

    def _not_as_gitlab(self, chosen: set[str]) -> list[str]:
        """What may differ from GitLab's own export, because the databases cannot tell."""
        main, catalog, rules = self.connection("main"), self.catalog("main"), self.settings.rules
        if not rules.stored:
            found = visibility.warnings(main, catalog, self.project.id, self.options, chosen)
        elif self.options.get("as_user"):
            found = ["--as-user changes nothing: the embedded instance holds what an archive held"]
        else:
            found = []
        if "protected_branches" in chosen:
            place = self.settings.storage.repository(self.project.storage, self.project.disk_path)
            repository = place is not None
            found += push_policies.warnings(main, catalog, rules, self.project.id, repository=repository)
        return found

    def _lacking(self, node: Node) -> str | None:
        """The table or column without which the relation's rows cannot be told."""
        catalog = self.catalog(node.database)
        if not catalog.has(node.table):
            return f"table {node.table}"
        needed = [node.child_key, *(column for column, _ in node.where)]
        found = next((column for column in needed if not catalog.has(node.table, column)), None)
        return None if found is None else f"column {node.table}.{found}"

    def _rows(self, node: Node, member: str) -> Iterator[Part]:
        cut, slices = cut_of(node.name), self._slices(node)
        for number, (ids, count, partition) in enumerate(slices):
            payload: dict[str, Any] = {"kind": "rows", "ids": ids}
            if partition is not None:
                payload["partition"] = partition
            yield Part(node.name, number, member, payload, count * cut.row_bytes, count)
        if not slices and node.empty_file:
            yield Part(node.name, 0, member, {"kind": "text", "text": ""}, lines=0)

    def _slices(self, node: Node) -> list[tuple[str, int, int | None]]:
        """For each part: ids in the order of the export, how many, and the partition that all are in.

        PostgreSQL cuts them: a tuple a row would take more memory than all else in a large export.
        """
        catalog = self.catalog(node.database)
        column = partition_column(node)
        key = f"t.{column}" if column and catalog.has(node.table, column) else "NULL::bigint"
        renderer = Renderer(catalog, self.settings.rules)
        where = [f"t.{node.child_key} = %s", *conditions(renderer, node, "t")]
        chosen: Any = self.project.id
        if node.name in self._told:
            where, chosen = ["t.id = ANY(%s)"], self._told[node.name]
        size, order = cut_of(node.name).part, order_by(renderer, node, "t")
        query = (
            f"SELECT t.id, {key} AS key, (row_number() OVER (ORDER BY {order}) - 1) AS place"
            f" FROM {catalog.name(node.table)} t WHERE {' AND '.join(where)}"
        )
        found = self.connection(node.database).execute(_SLICES.format(rows=query, size=size), (chosen,))
        slices = [(text(ids) or "", int(count), partition) for ids, count, partition in found]
        if node.name == "project_members" and not self.settings.rules.stored:
            direct = [id for listed, _, _ in slices for id in ids_in(listed)]
            inherited = members.inherited(self.connection("main"), catalog, self.project, self.options)
            together = in_batches([*direct, *inherited], size)
            return [(as_text(batch), len(batch), None) for batch in together]
        return slices

    def _told_lines(self) -> Mapping[str, list[int]]:
        if not self.settings.rules.stored:
            return {}
        kept = self.connection("main").execute(
            "SELECT packmule_kept->'lines' FROM projects WHERE id = %s", (self.project.id,)
        )
        found: dict[str, list[int]] | None = (kept.fetchall() or [(None,)])[0][0]
        return found or {}


class MissingInSource(ExportFailed):
    """Something that the database names is not where it should be."""

    def __init__(self, what: str) -> None:
        super().__init__(what, hint="restore it, or --allow-missing to export what is left and list it")


def partition_column(node: Node) -> str | None:
    """The column by which the tables of a relation are partitioned, if they are."""
    if "partition_id" in node.primary_key:
        return "partition_id"
    return next((child.partition_key[1] for child in node.children if child.partition_key), None)


def _member(path: str) -> str:
    return f"./{path}"


def _directories(parts: list[Part]) -> tuple[str, ...]:
    """GitLab's archives hold ``./``, the tree's directories and ``snippets/`` even when that is empty."""
    directories = ["./", "./tree/", "./tree/project/", "./snippets/"]
    kinds = {part.relation for part in parts}
    names = {"avatar": layout.AVATAR, "uploads": layout.UPLOADS}
    directories += [f"./{path}/" for relation, path in names.items() if relation in kinds]
    if any(part.relation == "lfs_objects" and part.deferred for part in parts):
        directories.append(f"./{layout.LFS_OBJECTS}/")
    return tuple(directories)
