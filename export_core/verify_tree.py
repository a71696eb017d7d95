"""The checks of ``tree/``: every line of every relation, once, as it goes by."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NoReturn

from export_core.gitlab.layout import ROOT_OBJECT, relation_member
from export_core.gitlab.snippets import snippet_digest
from export_core.gitlab.tree import ROOT, Node, relations
from export_core.verify_report import VerifyReport

LONGEST_LINE = 50 << 20
"""Bytes: GitLab's reader cuts longer lines in two."""
_SHA = re.compile(r"[0-9a-f]{7,64}")
IMPORT_ONLY: Mapping[tuple[str, ...], str] = {
    ("ci_pipelines",): "notes",
    ("ci_pipelines", "stages"): "statuses",
}
"""Children that the importer still reads, though no version of today writes them."""


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


decode = json.JSONDecoder(parse_constant=_refuse_constant).decode


@dataclass(slots=True)
class TreeCheck:
    """Checks the files of ``tree/`` and remembers what other checks need from them."""

    report: VerifyReport
    digests: dict[str, int] = field(default_factory=dict)
    """Digest of each snippet, with its line."""
    _defects: Counter[str] = field(default_factory=Counter)

    def project(self, stream: BinaryIO, size: int) -> None:
        """``tree/project.json``: one object, read whole by the importer."""
        count = self.report.relation("project")
        count.bytes = size
        if size > LONGEST_LINE:
            self.report.problem(f"{ROOT_OBJECT} has {size} bytes; GitLab reads {LONGEST_LINE} of them")
            return
        value = self.parse(stream.read(), ROOT_OBJECT)
        if isinstance(value, dict):
            count.lines = 1
            Shape.of(ROOT, ("project",)).visit(value, self.note)
        elif value is not _INVALID:
            self.report.problem(f"{ROOT_OBJECT} is not a JSON object")

    def relation(self, name: str, stream: BinaryIO) -> None:
        """``tree/project/<name>.ndjson``. Reads line by line; a line is all that is held in memory."""
        node = relations().get(name)
        if node is None:
            self.report.unknown_relations.append(name)
        check = _Lines(self, name, node)
        count = self.report.relation(name)
        for number, line in _lines(stream):
            count.bytes += len(line) if line is not None else LONGEST_LINE
            count.lines += check.line(number, line)
        check.close(count.lines)

    def close(self) -> None:
        """Turn what was counted record by record into warnings."""
        for defect, count in self._defects.items():
            times = "" if count == 1 else f" ({count} times)"
            self.report.warning(f"{defect}{times}")

    def defect(self, message: str) -> None:
        """A record that GitLab would not import, or would change."""
        self._defects[message] += 1

    def note(self, path: str, unknown: set[str]) -> None:
        """Count keys that GitLab does not know in a record at a path of the tree."""
        for key in unknown:
            self.report.unknown_keys[f"{path}.{key}"] += 1

    def parse(self, data: bytes, place: str, number: int | None = None) -> Any:
        """A JSON value, or ``_INVALID`` after its fault was reported."""
        where = place if number is None else f"{place} line {number}"
        try:
            return decode(data.decode())
        except RecursionError:
            self.report.problem(f"{where} is nested too deeply", file=place)
        except UnicodeDecodeError as exc:
            self.report.problem(f"{where} is not UTF-8 at byte {exc.start}", file=place)
        except ValueError as exc:
            self.report.problem(f"{where} is not valid JSON: {exc}", file=place)
        return _INVALID


_INVALID = object()


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Each line with its number; None for one that is too long, which is skipped without being held."""
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) <= LONGEST_LINE:
            yield number, line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(1 << 20)
        yield number, None


class _Lines:
    """The lines of one relation file."""

    def __init__(self, check: TreeCheck, name: str, node: Node | None) -> None:
        self._check = check
        self._name = name
        self._place = relation_member(name)
        self._single = node is not None and not node.many
        self._shape = Shape.of(node, (name,), check.defect) if node else None
        self._seen: dict[str, set[Any]] = {"iid": set(), "title": set()} if name in _UNIQUE else {}

    def line(self, number: int, line: bytes | None) -> int:
        """Check one line; 1 when it holds a record."""
        report = self._check.report
        if line is None:
            report.problem(f"line {number} is longer than 50 MiB", file=self._place)
            return 1
        if not line.strip():
            report.problem(f"line {number} is blank", file=self._place)
            return 0
        value = self._check.parse(line, self._place, number)
        if isinstance(value, dict):
            self._record(number, value)
            return 1
        if value is None and (self._single or self._shape is None):
            return 0
        if value is not _INVALID:
            report.problem(f"line {number} is not a JSON object", file=self._place)
        return 1

    def close(self, lines: int) -> None:
        """What can be said of the file as a whole."""
        if self._single and lines > 1:
            self._check.report.warning(f"{self._place} holds {lines} objects where GitLab reads one")

    def _record(self, number: int, value: dict[str, Any]) -> None:
        if self._shape is not None:
            self._shape.visit(value, self._check.note)
        for key in _UNIQUE.get(self._name, ()):
            self._unique(key, value)
        if self._name == "snippets":
            self._snippet(number, value)

    def _unique(self, key: str, value: dict[str, Any]) -> None:
        found = value.get(key)
        if found is None:
            return
        if found in self._seen[key]:
            self._check.defect(f"{self._place}: {key} {found!r} is there more than once")
        self._seen[key].add(found)

    def _snippet(self, number: int, value: dict[str, Any]) -> None:
        names = ("title", "description", "created_at", "updated_at")
        try:
            digest = snippet_digest(*(value.get(name) for name in names))
        except (TypeError, ValueError):
            self._check.defect(f"{self._place}: a snippet without valid times")
        else:
            self._check.digests[digest] = number


_UNIQUE: Mapping[str, tuple[str, ...]] = {
    "labels": ("title",),
    "milestones": ("iid", "title"),
    "issues": ("iid",),
    "merge_requests": ("iid",),
}

Report = Callable[[str, set[str]], None]


@dataclass(frozen=True, slots=True)
class Shape:
    """A node of the tree, made ready for walking many records."""

    path: str
    known: frozenset[str]
    children: tuple[tuple[str, Shape], ...]
    rule: Callable[[Any], str | None] | None
    defect: Callable[[str], None] | None

    @classmethod
    def of(cls, node: Node, path: tuple[str, ...], defect: Callable[[str], None] | None = None) -> Shape:
        """Prepare a node and all below it."""
        children = tuple((child.name, cls.of(child, (*path, child.name), defect)) for child in node.children)
        known = {*node.attributes, *(name for name, _ in children)}
        extra = IMPORT_ONLY.get(path)
        known |= {extra} if extra else set()
        return cls(".".join(path), frozenset(known), children, _RULES.get(node.table), defect)

    def visit(self, record: dict[str, Any], report: Report) -> None:
        """Look at a record and all below it."""
        if unknown := record.keys() - self.known:
            report(self.path, unknown)
        if self.rule and self.defect and (fault := self.rule(record)):
            self.defect(f"{self.path}: {fault}")
        for name, shape in self.children:
            value = record.get(name)
            if isinstance(value, list):
                for item in value:
                    shape.visit(item, report) if isinstance(item, dict) else shape.odd(item)
            elif isinstance(value, dict):
                shape.visit(value, report)

    def odd(self, value: object) -> None:
        """A list holds something that is no record."""
        if self.defect:
            self.defect(f"{self.path}: {type(value).__name__} where a record should be")


def _note_fault(note: Mapping[str, Any]) -> str | None:
    author = note.get("author")
    if not isinstance(author, dict) or not author.get("name"):
        return "a note without author.name"
    if not note.get("updated_at"):
        return "a note without updated_at"
    if note.get("type") == "DiffNote" and not isinstance(note.get("position"), dict):
        return "a DiffNote without a position"
    return None


def _diff_fault(diff: Mapping[str, Any]) -> str | None:
    for key in ("base_commit_sha", "head_commit_sha", "start_commit_sha"):
        sha = diff.get(key)
        if sha is not None and not _SHA.fullmatch(str(sha)):
            return f"{key} is no commit id"
    return None


def _text_fault(key: str) -> Callable[[Mapping[str, Any]], str | None]:
    return lambda record: None if isinstance(record.get(key), str) else f"{key} is missing"


def _label_fault(label: Mapping[str, Any]) -> str | None:
    return "a label with a comma in its title" if "," in str(label.get("title") or "") else None


_RULES: Mapping[str, Callable[[Any], str | None]] = {
    "notes": _note_fault,
    "merge_request_diffs": _diff_fault,
    "merge_request_diff_files": _text_fault("utf8_diff"),
    "note_diff_files": _text_fault("diff_export"),
    "labels": _label_fault,
}
"""What the importer needs of single records; without it the record is dropped and the import goes on."""
