"""Fills a world by walking the tree of the facts: children for every parent, and rows that must not match."""

from __future__ import annotations

import random
import re
from typing import Any

from tests.export_core.sources.gitlab_db.facts import Facts, JsonNode
from tests.export_core.sources.gitlab_db.real_schema import PARTITIONS
from tests.export_core.sources.gitlab_db.surroundings import GONE, add_people, add_surroundings, project_row
from tests.export_core.sources.gitlab_db.world import BINARY_DIFFS, DIFFS, Row, World

_EQUALS = re.compile(r"\w+\.(\w+) = '([^']+)'")
_OTHER_TYPES = ("WorkItem", "DiffNote", "DiscussionNote", "Epic", "Vulnerability")
_AT_TOP = {"issues": 9, "merge_requests": 10, "ci_pipelines": 14, "approval_rules": 8, "vulnerabilities": 6}
_SOURCES = [None, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 77]


class Population:
    """Makes all rows of one world."""

    def __init__(self, facts: Facts) -> None:
        self.world = World(facts)
        self._facts = facts
        self._random = random.Random(18_09)

    def fill(self) -> World:
        """Three projects in one group (full, full, bare), one of a user, and all that surrounds them."""
        add_people(self.world)
        projects = [project_row(self.world, number) for number in range(4)]
        self._shared()
        for project in projects[:2]:
            for relation in self._facts.relations:
                self._relation(relation, project)
        add_surroundings(self.world)
        return self.world

    def _relation(self, node: JsonNode, project: Row) -> None:
        if not node["join"]:
            return
        count = _AT_TOP.get(node["name"], 4) if node["cardinality"] == "list" else 1
        if node["name"] == "push_rule":
            count = 2
        if node["table"] == "vulnerabilities":
            self._findings(node, project)
        if node["name"] == "project_members":
            return
        for _ in range(count):
            self._child(node, project, "projects")

    def _shared(self) -> None:
        """Rows that many others refer to, with children of their own."""
        world = self.world
        for number in range(10):
            world.add("work_item_types", base_type=number if number < 9 else 77)
            world.add("merge_request_diff_commit_users")
        for number in range(4):
            label = world.add("labels", type="GroupLabel", group_id=10, project_id=None)
            for _ in range(number):
                world.add("label_priorities", label_id=label["id"], project_id=1 + number % 3)
            milestone = world.add("milestones", group_id=10, project_id=None)
            self._events(milestone["id"], "Milestone")
            world.add("epics", id=50 + number)
            cadence = world.add("iterations_cadences")
            world.add("sprints", iterations_cadence_id=cadence["id"] if number else GONE)
        for number in range(12):
            place = {"project_id": (1, 2, 4)[number % 3]}
            people = {"commit_author_id": 1 + number % 10, "committer_id": (2 + number) % 11 + 1}
            world.add("merge_request_commits_metadata", **place, **people)
        for number in range(6):
            world.add("vulnerability_scanners", project_id=1 + number % 2)
            world.add("vulnerability_identifiers", project_id=1 + number % 2)

    def _events(self, target: int, kind: str) -> None:
        for number in range(2):
            event = self.world.add("events", target_id=target, target_type=kind)
            if number:
                self.world.add("push_event_payloads", event_id=event["id"])

    def _findings(self, node: JsonNode, project: Row) -> None:
        finding = next(child for child in node["children"] if child["name"] == "vulnerability_finding")
        pipelines = [row["id"] for row in self.world.rows["p_ci_pipelines"]]
        for number in range(5):
            row = self.world.add(
                "vulnerability_occurrences",
                project_id=project["id"],
                scanner_id=1 + number,
                primary_identifier_id=1 + number,
                initial_pipeline_id=pipelines[number],
                latest_pipeline_id=None if number == 2 else pipelines[-1 - number],
            )
            assert finding["table"] == "vulnerability_occurrences"
            for identifier in range(number):
                self.world.add(
                    "vulnerability_occurrence_identifiers",
                    occurrence_id=row["id"],
                    identifier_id=5 - identifier,
                )

    def _below(self, node: JsonNode, row: Row) -> None:
        for child in node.get("children", []):
            if not _belongs_to(child):
                for _ in range(self._count(child)):
                    self._child(child, row, node["table"])
                self._beside(child, row)

    def _count(self, child: JsonNode) -> int:
        """How many children this parent gets: 0 to 2, and for single objects mostly one."""
        table = child["table"]
        if child["cardinality"] == "list":
            return self._random.choice((0, 1, 2, 3)) if not table.startswith("merge_request_diff_") else 4
        if table == "merge_request_diffs":
            return self._random.choice((0, 1, 2, 3))
        once = child["primary_key"] == [child["join"][0]["child_column"]] or table == "work_item_descriptions"
        return self._random.choice((0, 1, 1 if once else 2))

    def _child(self, node: JsonNode, parent: Row, parent_table: str) -> None:
        if len(node["join"]) > 1:
            return
        join = node["join"][0]
        told: Row = {join["child_column"]: parent[join["parent_column"]]}
        for condition in node["where"]:
            if found := _EQUALS.fullmatch(condition):
                told[found[1]] = found[2]
        told |= self._links(node, parent, parent_table)
        row = self.world.add(node["table"], **told)
        self._below(node, row)

    def _beside(self, node: JsonNode, parent: Row) -> None:
        """A row with the same key and another type, as real tables are full of."""
        join = node["join"][0]
        type_column = join["child_column"].removesuffix("_id") + "_type"
        types = {column.name for column in self._facts.tables[node["table"]]}
        if join["child_column"].endswith("_id") and type_column in types and len(node["join"]) == 1:
            other = self._random.choice(_OTHER_TYPES)
            key = parent[join["parent_column"]]
            self.world.add(node["table"], **{join["child_column"]: key, type_column: other})

    def _links(self, node: JsonNode, parent: Row, parent_table: str) -> Row:
        """Keys that have to fit to other rows."""
        world = self.world
        number = len(world.rows[node["table"]])
        told: Row = {}
        for child in node.get("children", []):
            if _belongs_to(child):
                told[child["join"][0]["parent_column"]] = self._reference(child)
        if not _has(told, "project_id") and parent_table == "projects":
            told.setdefault("project_id", parent["id"])
        makers: dict[str, Any] = {
            "issues": lambda: {
                "namespace_id": 100 + parent["id"], "relative_position": (None, 5, 5, -3, 900)[number % 5],
            },
            "work_item_descriptions": lambda: {"namespace_id": parent.get("namespace_id")},
            "issue_assignees": lambda: {"user_id": 1 + number % 9999},
            "approval_project_rules_protected_branches": lambda: {"protected_branch_id": 1 + number},
            "milestone_releases": lambda: {"milestone_id": 1 + number},
            "merge_requests": lambda: _merge_request(parent, number),
            "merge_request_diffs": lambda: _diff(number),
            "merge_request_diff_commits": lambda: self._commit(parent, number),
            "merge_request_diff_files": lambda: self._file(parent, number),
            "p_ci_pipelines": lambda: {
                "partition_id": PARTITIONS[number % 3], "source": _SOURCES[number % len(_SOURCES)],
            },
            "p_ci_stages": lambda: self._stage(parent, number),
            "p_ci_builds": lambda: {"partition_id": parent["partition_id"]},
            "suggestions": lambda: {"relative_order": 1000 - number},
            "approval_project_rules": lambda: {"report_type": (None, 1, 2, 3, 4, 5, 77)[number % 7]},
            "boards": lambda: {"milestone_id": (0, -1, -2, -3, 2, None, GONE)[number % 7]},
            "protected_branch_push_access_levels": lambda: {"deploy_key_id": (None, 4)[number % 2]},
            "push_rules": lambda: {"is_sample": False},
            "timelogs": lambda: {
                "issue_id": None, "merge_request_id": None, node["join"][0]["child_column"]: parent["id"],
            },
            "vulnerabilities": lambda: {"finding_id": (*range(1, 11), None, GONE)[number]},
        }  # fmt: skip
        maker = makers.get(node["table"])
        told |= maker() if maker else {}
        if node["table"].startswith("resource_") and parent_table in ("issues", "merge_requests"):
            told |= {"issue_id": None, "merge_request_id": None} | {
                node["join"][0]["child_column"]: parent["id"]
            }
            if node["table"] == "resource_iteration_events":
                told.pop("merge_request_id")
        return told

    def _reference(self, child: JsonNode) -> Any:
        """A row to refer to; sometimes one that is gone, sometimes none."""
        table, column = child["table"], child["join"][0]
        there = [row["id"] for row in self.world.rows[table]]
        nullable = next(
            c.nullable
            for c in self._facts.tables[column["parent_table"]]
            if c.name == column["parent_column"]
        )
        chance = self._random.random()
        if chance < 0.1 or not there:
            return GONE
        return None if nullable and chance < 0.2 else self._random.choice(there)

    def _commit(self, diff: Row, number: int) -> Row:
        order = len(
            [
                r
                for r in self.world.rows["merge_request_diff_commits"]
                if r["merge_request_diff_id"] == diff["id"]
            ]
        )
        merge_request = self.world.rows["merge_requests"][diff["merge_request_id"] - 1]
        fitting = [
            row["id"]
            for row in self.world.rows["merge_request_commits_metadata"]
            if row["project_id"] == merge_request["target_project_id"]
        ]
        linked = (None, fitting[number % len(fitting)], GONE, None)[number % 4]
        moved = {"sha": None, "message": None, "authored_date": None} if linked and number % 8 == 1 else {}
        own = {"sha": bytes([number % 256]) * 20}
        return {"relative_order": 10 - order, "merge_request_commits_metadata_id": linked, **own, **moved}

    def _file(self, diff: Row, number: int) -> Row:
        rows = self.world.rows["merge_request_diff_files"]
        order = len([row for row in rows if row["merge_request_diff_id"] == diff["id"]])
        told: Row = {"relative_order": 5 - order, "external_diff_offset": 3, "external_diff_size": 4}
        if not diff["stored_externally"]:
            return told
        binary = order == 1
        text = (BINARY_DIFFS if binary else DIFFS)[number % 5]
        raw = "not base64 \xff\xfe".encode("latin-1") if binary and number % 7 == 0 else text.encode()
        key = (diff["merge_request_id"], diff["id"])
        content = self.world.diff_files.get(key, b"")
        self.world.diff_files[key] = content + raw
        place = {
            "external_diff_offset": len(content),
            "external_diff_size": len(raw) or (0, None)[number % 2],
        }
        return told | place | {"binary": binary, "diff": "DECOY of another time"}

    def _stage(self, pipeline: Row, number: int) -> Row:
        if number % 6 == 5:  # the same pipeline's number in another partition: somebody else's stage
            return {"partition_id": PARTITIONS[(PARTITIONS.index(pipeline["partition_id"]) + 1) % 3]}
        return {"partition_id": pipeline["partition_id"], "position": (3, 1, 1, None, 0)[number % 5]}


def _belongs_to(child: JsonNode) -> bool:
    join = child["join"][0]
    return bool(join["child_column"] == "id" and join["parent_column"] != "id")


def _has(told: Row, name: str) -> bool:
    return name in told


def _merge_request(project: Row, number: int) -> Row:
    sources = (project["id"], project["id"], 3, None, GONE)
    branches = ("feature", "main", "gone", "bränch/ü", "")
    return {
        "source_project_id": sources[number % 5],
        "source_branch": branches[number // 2 % 5],
        "target_branch": ("main", "feature", "never")[number % 3],
        "created_at": (None, "2024-01-02 03:04:05.000001", "2020-01-01 00:00:00")[number % 3],
    }


def _diff(number: int) -> Row:
    return {
        "diff_type": (1, 1, 2, 1, 77)[number % 5],
        "stored_externally": (None, True, False)[number % 3],
        "external_diff_store": 1,
        "head_commit_sha": (None, "ab" * 20)[number % 2],
        "files_count": (None, 32767, 4, 0)[number % 4],
        "state": ("collected", "overflow", None)[number % 3],
    }
