"""``verify ARCHIVE``: would GitLab import it, and is it whole. The importer's own checklist, in one pass.

Source of the rules: the importer of GitLab 18.9 (archive size, extraction, version, tree, repositories,
uploads, LFS, snippets).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from export_core.archive_reader import ArchiveReader, missing_tree
from export_core.archive_rules import DEFAULT_LIMITS, Limits, gib
from export_core.errors import ArchiveInvalid
from export_core.gitlab import layout
from export_core.verify_files import FileCheck
from export_core.verify_report import RelationCount, VerifyReport
from export_core.verify_tree import TreeCheck

__all__ = ["RelationCount", "VerifyReport", "verify_archive"]

UNPACKED_LIMIT = 25600 << 20
"""Bytes: GitLab's default ``max_decompressed_archive_size``."""
REMOTE_LIMIT = 10240 << 20
"""Bytes: GitLab's default ``max_import_remote_file_size``, for imports by URL."""
_RELATION = f"{layout.RELATIONS}/"


def verify_archive(
    path: Path, *, max_size: int = DEFAULT_LIMITS.max_size, scratch: Path | None = None
) -> VerifyReport:
    """Check an archive; every problem is in the report. Raises NotFound for a missing file.

    ``max_size`` is the most it may unpack to, in bytes. ``scratch`` is where bundles are unpacked for git
    (default: the system's temporary directory); nothing is left there.
    """
    report = VerifyReport(str(path))
    reader = ArchiveReader(path, Limits(max_size=max_size), problem=report.problem)
    tree = TreeCheck(report)
    with tempfile.TemporaryDirectory(prefix="packmule-verify-", dir=scratch) as directory:
        files = FileCheck(report, Path(directory))
        try:
            _check_members(reader, tree, files)
        except ArchiveInvalid as exc:
            report.problem(exc.message)
        else:
            _check_whole(reader, tree, files)
    tree.close()
    report.size, report.unpacked_size = reader.compressed, reader.size
    report.close()
    return report


def _check_members(reader: ArchiveReader, tree: TreeCheck, files: FileCheck) -> None:
    for member in reader.members():
        if member.name == layout.ROOT_OBJECT:
            tree.project(member.stream, member.size)
        elif member.name.startswith(_RELATION) and member.name.endswith(".ndjson"):
            tree.relation(member.name[len(_RELATION) : -len(".ndjson")], member.stream)
        else:
            files.member(member)


def _check_whole(reader: ArchiveReader, tree: TreeCheck, files: FileCheck) -> None:
    """What can be judged only when all members were seen."""
    report = tree.report
    missing = missing_tree(reader.names)
    if missing:
        report.problem(f"{missing[0]}; {missing[1]}")
    files.close(set(tree.digests))
    for name in report.unknown_relations:
        report.warning(f"relation {name} is unknown to GitLab 18.9, which ignores it")
    if reader.ignored:
        report.warning(f"{len(reader.ignored)} members left by macOS are ignored")
    if reader.size > UNPACKED_LIMIT:
        report.warning(
            f"it unpacks to {gib(reader.size)}; GitLab refuses more than 25 GiB unless set otherwise"
        )
    if reader.compressed > REMOTE_LIMIT:
        report.warning(
            f"it has {gib(reader.compressed)}; GitLab imports up to 10 GiB by URL unless set otherwise"
        )
