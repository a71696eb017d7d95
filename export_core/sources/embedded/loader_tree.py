"""Records of an archive become rows: every object of every line, in the archive's order."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from export_core.gitlab.snippets import snippet_digest
from export_core.sources.embedded.loader_ids import Ids
from export_core.sources.embedded.loader_people import People
from export_core.sources.embedded.loader_plan import CommonValues, RowPlan
from export_core.sources.embedded.loader_report import LoadReport
from export_core.sources.embedded.loader_rows import TableRows
from export_core.sources.embedded.loader_shared import SHARED_TABLES, SharedRows

Record = dict[str, Any]
_JOB_KINDS = {
    "Ci::Build": "builds",
    "Ci::Bridge": "bridges",
    "GenericCommitStatus": "generic_commit_statuses",
}


@dataclass(slots=True)
class TreeLoader:
    """Loads the lines of relations. Rows are collected; whoever owns the sender sends them."""

    plans: Mapping[str, RowPlan]
    joins: Mapping[str, TableRows]
    """Collections for the tables of pairs."""
    ids: Ids
    people: People
    report: LoadReport
    common: CommonValues
    pipelines: Iterator[int]
    """Ids of the pipelines in the order of their lines."""
    shared: SharedRows
    snippets: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Digest of each snippet (the name of its bundle) -> its ids."""
    lines: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Relation -> ids of its lines."""
    told: set[str] = field(default_factory=set)
    """Relations whose lines must be listed, because their columns do not tell: a line that names another
    project, or a row that only a nested place shows."""
    _ids_told: set[tuple[str, int]] = field(default_factory=set)
    _branches: dict[str, int] = field(default_factory=dict)

    def line(self, relation: str, record: Record) -> None:
        """Load one line of a relation."""
        plan = self.plans[relation]
        row_id = self._add(plan, record, self.common.project_id)
        self.lines[relation].append(row_id)
        if plan.node.table in SHARED_TABLES:
            self.shared.register(plan, record, row_id)
        if relation == "protected_branches":
            self._branches.setdefault(str(record.get("name")), row_id)
        elif relation == "snippets":
            self._snippet(record, row_id)

    def _add(self, plan: RowPlan, record: Record, parent: int | None, place: int = 0) -> int:
        """Make a record's row and those of everything below it; the id of the row."""
        record = self._modern(plan, record)
        row = plan.template.copy()
        self._fill(plan, record, row)
        row_id = self._identify(plan, record, row, parent)
        for name, child, index in plan.refs:
            shown = record.get(name)
            if child is not None:
                row[index] = self._refer(child, shown) if isinstance(shown, dict) else None
            elif row[index] is not None or shown:
                self.people.seen(row[index], shown)
        for index in plan.keys:
            if row[index] is None:
                row[index] = place if plan.table.columns[index] == "relative_order" else self.ids.new()
        plan.table.rows.append(row)
        for name, child in plan.lists:
            below = record.get(name)
            if below:
                self._add_below(child, below, row_id)
        return row_id

    def _fill(self, plan: RowPlan, record: Record, row: list[Any]) -> None:
        cells = plan.cells
        for key, value in record.items():
            cell = cells.get(key)
            if cell is None:
                if key not in plan.known:
                    self.report.unknown_keys[f"{plan.path}.{key}"] += 1
            elif value is None:
                row[cell[0]] = cell[2]
            else:
                row[cell[0]] = value if cell[1] is None else cell[1](value)
        for key, index, rule in plan.rules:
            if key in record:
                row[index] = rule(record)
        for key, index in plan.named:
            row[index] = self._branch(record.get(key))
        if plan.kept:
            kept = {key: record[key] for key in plan.kept if key in record}
            row[plan.kept_index] = json.dumps(kept, ensure_ascii=False) if kept else None

    def _identify(self, plan: RowPlan, record: Record, row: list[Any], parent: int | None) -> int:
        """Give a row its id, and its link to what it belongs to."""
        row_id = 0
        if plan.id_index >= 0:
            row_id = row[plan.id_index] or self._next(plan)
            row[plan.id_index] = row_id
        if plan.link_index >= 0 and not self._is_odd(plan, record, row):
            self._bind(plan, row, parent)
        return row_id

    def _is_odd(self, plan: RowPlan, record: Record, row: list[Any]) -> bool:
        """Whether a line says itself that it is not the project's own (group labels in old archives)."""
        if plan.path not in self.plans or not plan.node.many:
            return False
        key = plan.node.child_key
        odd = key in record and row[plan.link_index] != self.common.project_id
        for index, value in plan.fixed:
            odd = odd or (plan.table.columns[index] in record and row[index] != value)
        if odd:
            self.told.add(plan.node.name)
        return odd

    def _bind(self, plan: RowPlan, row: list[Any], parent: int | None) -> None:
        """Make a row belong to its parent, whatever the record says."""
        told = row[plan.link_index]
        if told is not None and told != parent and parent is not None:
            self.report.warn(f"{plan.path}.{plan.node.child_key} names another parent; it is put right")
        row[plan.link_index] = parent
        for index, value in plan.fixed:
            if row[index] is not None and row[index] != value:
                column = plan.table.columns[index]
                self.report.warn(f"{plan.path}.{column} is {row[index]!r} where only {value!r} can be")
            row[index] = value

    def _next(self, plan: RowPlan) -> int:
        told = next(self.pipelines, None) if plan.path == "ci_pipelines" else None
        return self.ids.new() if told is None else told

    def _add_below(self, plan: RowPlan, below: Any, parent: int) -> None:
        records = below if isinstance(below, list) else [below]
        if plan.node.through is not None:
            self._join(plan, records, parent)
            return
        for place, record in enumerate(records):
            if isinstance(record, dict):
                row_id = self._add(plan, record, parent, place)
                if plan.node.table in SHARED_TABLES:
                    self.shared.register(plan, record, row_id)
            elif record is not None:
                self.report.warn(f"{plan.path}: {type(record).__name__} where a record should be; left out")

    def _join(self, plan: RowPlan, records: list[Any], parent: int) -> None:
        """Rows that belong to many parents through a table of pairs; in every list their ids ascend."""
        through = plan.node.through
        previous = 0
        for record in records:
            if through is not None and isinstance(record, dict):
                previous = self._refer(plan, record, above=previous)
                rows = self.joins[through.table]
                told = {through.to_parent: parent, through.to_child: previous}
                rows.rows.append([told.get(name, self._common(name)) for name in rows.columns])

    def _common(self, column: str) -> Any:
        return self.common.project_id if column == "project_id" else self.common.now

    def _refer(self, plan: RowPlan, record: Record, *, above: int = 0) -> int:
        """The id of the one row with this content; made when it is shown for the first time.

        ``above``: only rows with larger ids will do.
        """
        told = record.get("id")
        if isinstance(told, int) and told <= 0:  # what GitLab has built in: any milestone, no milestone, ...
            return told
        found = self.shared.find(plan, record, above)
        if found is not None:
            for name, child in self.shared.complete(plan, record, found):
                self._add_below(child, record[name], found.row_id)
            return found.row_id
        if isinstance(told, int) and "id" in plan.node.attributes:
            named = (plan.node.table, self.ids.shift(told))
            if named in self._ids_told:
                self.report.warn(f"{plan.path} {told} is shown with other values; the first ones are kept")
                return named[1]
            self._ids_told.add(named)
        row_id = self._add(plan, record, None)
        self.shared.register(plan, record, row_id)
        self._note_stray(plan, record)
        return row_id

    def _note_stray(self, plan: RowPlan, record: Record) -> None:
        """Whether a row that only a nested place shows would be taken for a line."""
        for name, top in self.plans.items():
            if top.node.table != plan.node.table:
                continue
            link = record.get(top.node.child_key)
            ours = isinstance(link, int) and self.ids.shift(link) == self.common.project_id
            if ours and all(record.get(column, value) == value for column, value in top.node.where):
                self.told.add(name)

    def _branch(self, name: Any) -> int:
        """The protected branch of that name; one of no project is made when the archive has none."""
        found = self._branches.get(str(name))
        if found is None:
            found = self._add(self.plans["protected_branches"], {"name": name}, None)
            self._branches[str(name)] = found
        return found

    def _snippet(self, record: Record, row_id: int) -> None:
        told = (record.get(key) for key in ("title", "description", "created_at", "updated_at"))
        try:
            self.snippets[snippet_digest(*told)].append(row_id)
        except (TypeError, ValueError):
            self.report.warn("snippets: a snippet without valid times cannot have a repository")

    def _modern(self, plan: RowPlan, record: Record) -> Record:
        """What old versions wrote in another shape. The old keys stay, and are reported as unknown."""
        if plan.path == "ci_pipelines.stages" and "statuses" in record:
            return self._sorted_jobs(record)
        if plan.node.table == "merge_request_diff_commits" and "author_name" in record:
            people = (("commit_author", "author"), ("committer", "committer"))
            return record | {
                key: {"name": record.get(f"{old}_name"), "email": record.get(f"{old}_email")}
                for key, old in people
                if key not in record
            }
        return record

    def _sorted_jobs(self, record: Record) -> Record:
        kinds: dict[str, list[Any]] = {kind: list(record.get(kind) or ()) for kind in _JOB_KINDS.values()}
        for job in record["statuses"] or ():
            kind = _JOB_KINDS.get(str(job.get("type"))) if isinstance(job, dict) else None
            if kind is None:
                self.report.warn("ci_pipelines.stages.statuses: a job of an unknown type; left out")
            else:
                kinds[kind].append(job)
        return record | kinds
