"""Loads an archive into the embedded instance: rows, repositories and files, all or nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export_core import events
from export_core.archive_reader import Extracted, check_file, extracted
from export_core.archive_rules import DEFAULT_LIMITS, Limits
from export_core.errors import ArchiveInvalid, DestinationUnusable
from export_core.gitlab import layout
from export_core.gitlab.paths import check_full_path
from export_core.sources.embedded.instance import EmbeddedInstance
from export_core.sources.embedded.loader_files import FileLoader
from export_core.sources.embedded.loader_ids import Ids, Scan, advance, pipeline_ids, reserve, scan
from export_core.sources.embedded.loader_people import People
from export_core.sources.embedded.loader_plan import CommonValues, RowPlanner
from export_core.sources.embedded.loader_project import load_project
from export_core.sources.embedded.loader_report import SEE_VERIFY, LoadReport
from export_core.sources.embedded.loader_rows import RowSender
from export_core.sources.embedded.loader_shared import SharedRows
from export_core.sources.embedded.loader_tree import TreeLoader
from export_core.sources.embedded.loader_work import WorkDirectory, undo_abandoned, work_directory
from export_core.sources.embedded.namespaces import ProjectShell, create_project_shell
from export_core.verify_tree import decode

if TYPE_CHECKING:
    import psycopg

_BROKEN = (TypeError, ValueError, AttributeError, KeyError, OverflowError, RecursionError)
"""What records of an unexpected shape lead to."""


def check(archive: Path, as_path: str) -> str:
    """Refuse what can be refused without the instance; the path as it is written. Raises UsageError,
    NotFound, ArchiveInvalid.
    """
    path = check_full_path(as_path)
    check_file(archive)
    return path


def load_archive(
    instance: EmbeddedInstance,
    archive: Path,
    as_path: str,
    *,
    listen: events.Listener = events.ignore,
    limits: Limits = DEFAULT_LIMITS,
) -> LoadReport:
    """Make a new project ``as_path`` out of an archive. The instance's session must be open.

    Raises UsageError for an impossible path, DestinationUnusable for one that is taken, NotFound and
    ArchiveInvalid for the archive; then nothing is changed.
    """
    as_path = check(archive, as_path)
    if instance.project_exists(as_path):
        raise DestinationUnusable(
            f"{as_path} exists already in the embedded instance", hint="choose another path"
        )
    report = LoadReport(as_path)
    with (
        work_directory(instance.home.embedded / "loads") as work,
        extracted(archive, work.root, limits=limits) as unpacked,
    ):
        report.ignored = unpacked.ignored
        found = scan(unpacked)
        with instance.connect() as connection:
            try:
                _Load(instance, unpacked, connection, report).run(found, work, listen)
                connection.commit()
            except BaseException:
                work.undo()  # before the import lock goes with the transaction
                raise
    return report


class _Load:
    """One import in its transaction."""

    def __init__(
        self,
        instance: EmbeddedInstance,
        archive: Extracted,
        connection: psycopg.Connection[Any],
        report: LoadReport,
    ) -> None:
        self.instance = instance
        self.archive = archive
        self.connection = connection
        self.report = report
        self.sender = RowSender(connection)

    def run(self, found: Scan, work: WorkDirectory, listen: events.Listener) -> None:
        """Everything, in order; the caller commits."""
        ids = reserve(self.connection, found.largest)
        undo_abandoned(work.root.parent, self.connection)
        shell = self._shell(found, ids)
        tree = self._tree(found, ids, shell)
        for name in self._relations(tree):
            lines = self._relation(tree, name)
            listen(events.PartFinished(0, name, 0, lines, 0))
        self.sender.flush()
        self.report.rows = self.sender.sent
        default_branch = load_project(self.connection, self.archive, shell.project_id, tree)
        tree.people.insert(self.connection)
        files = FileLoader(self.archive, self.instance.storage, self.connection, shell, self.report, work)
        files.load(tree.snippets, default_branch)
        advance(self.connection, ids.new())
        self.report.gitlab_version = self._word(layout.GITLAB_VERSION)
        if (found_format := self._word(layout.VERSION)) != layout.FORMAT_VERSION:
            said = f"is {found_format!r}" if found_format is not None else "is missing"
            self.report.warn(f"{layout.VERSION} {said}; GitLab 18.9 imports {layout.FORMAT_VERSION} only")

    def _word(self, name: str) -> str | None:
        """What a small file of the archive says."""
        file = self.archive.file(name)
        return file.read_text(errors="replace")[:128].strip() if file else None

    def _shell(self, found: Scan, ids: Ids) -> ProjectShell:
        """The project itself, under the id that the archive tells."""
        project_id = ids.shift(found.project_id) if found.project_id else ids.new()
        self.connection.execute("SELECT setval('projects_id_seq', %s, false)", (project_id,))
        shell = create_project_shell(self.connection, self.report.project)
        advance(self.connection, ids.first)
        self.report.project_id = shell.project_id
        return shell

    def _tree(self, found: Scan, ids: Ids, shell: ProjectShell) -> TreeLoader:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        common = CommonValues(shell.project_id, shell.project_namespace_id, now)
        planner = RowPlanner(self.sender, ids, self.report, common)
        shared = SharedRows()
        types = self.connection.execute("SELECT base_type, id FROM work_item_types ORDER BY id DESC")
        shared.add_work_item_types(types.fetchall())
        return TreeLoader(
            plans=planner.plans(),
            joins=planner.joins(),
            ids=ids,
            people=People(ids, self.report),
            report=self.report,
            common=common,
            pipelines=iter(pipeline_ids(found.pipelines, ids)),
            shared=shared,
        )

    def _relations(self, tree: TreeLoader) -> Iterator[str]:
        """Names of the relations to load; all others are named in the report."""
        there = {path.stem for path in self.archive.files(layout.RELATIONS) if path.suffix == ".ndjson"}
        for name in sorted(there - tree.plans.keys()):
            lines = sum(line.strip() not in (b"", b"null") for line in self._lines(name))
            if lines or name != "user_contributions":
                self.report.unknown_relations[name] = lines
        yield from (name for name in tree.plans if name in there)

    def _relation(self, tree: TreeLoader, name: str) -> int:
        many = tree.plans[name].node.many
        count = number = 0
        try:
            for number, line in enumerate(self._lines(name), 1):  # noqa: B007 - told when one fails
                record = self._parse(line)
                if record is None:
                    continue
                if not isinstance(record, dict) or (count and not many):
                    raise TypeError("there should be one JSON object")
                tree.line(name, record)
                self.sender.count(len(line))
                count += 1
        except _BROKEN as exc:
            place = f"{layout.relation_member(name)} line {number}"
            raise ArchiveInvalid(f"{place} cannot be loaded: {exc}", hint=SEE_VERIFY) from exc
        self.report.relations[name] = count
        return count

    def _lines(self, name: str) -> Iterator[bytes]:
        path = self.archive.root / layout.relation_member(name)
        with path.open("rb", buffering=1 << 20) as file:
            yield from file

    def _parse(self, line: bytes) -> Any:
        """The record of a line; None for ``null`` and blank lines."""
        if not line.strip():
            return None
        try:
            record = decode(line.decode())
        except json.JSONDecodeError as exc:
            raise ValueError(f"{exc.msg} at character {exc.pos}") from exc
        return self._without_nul(record) if b"\\u0000" in line else record

    def _without_nul(self, value: Any) -> Any:
        """PostgreSQL holds no NUL characters, GitLab's importer removes them as well."""
        if isinstance(value, dict):
            return {key: self._without_nul(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._without_nul(inner) for inner in value]
        if isinstance(value, str) and "\0" in value:
            self.report.warn("NUL characters in texts are left out")
            return value.replace("\0", "")
        return value
