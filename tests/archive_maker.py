"""Makes project archives with every relation of the tree, out of the declared column types and a seed.

Values are chosen to hurt: every kind of character, nulls, empty and repeated things. What real archives
always obey is obeyed: one user has one name, nested labels and milestones are those of the project or of a
group, a job belongs to its pipeline.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from export_core.gitlab.enums import ENUM_COLUMNS, ENUMS
from export_core.gitlab.schema import tables
from export_core.gitlab.tree import RELATIONS, ROOT, Node

PROJECT = 4711
TEXTS = tuple(
    json.loads(line)
    for line in r"""
"plain"
""
" "
"  padded  "
"ünï ☃ 😀"
"two\nlines\r\n\ttab"
"quote \" back \\ slash"
"<b>&amp;</b>"
"\\N"
"\\."
"null"
"true"
"--- :x"
":symbol"
"*alias &anchor"
"1e5"
"0x1f"
"2024-01-01"
"~"
"="
"\u2028\u2029"
"\u007f"
"\u0001p[1]\u0002"
"\u001f"
"{}"
"- x"
"key: value # no comment"
"'"
"%"
"\ufeff"
""".strip().splitlines()
)
SHAS = [hashlib.sha1(bytes([n])).hexdigest() for n in range(40)] + ["1" * 40, "0" * 40]


class Maker:
    """One archive's worth of records."""

    def __init__(self, seed: int, size: int = 3) -> None:
        self.random = random.Random(seed)
        self.size = size
        self.made: dict[str, list[dict[str, Any]]] = {}
        self.names = {user: self.text(60) or "x" for user in range(1, 9)}
        self.pipeline = 900

    def relations(self) -> dict[str, list[dict[str, Any]]]:
        """The records of all relations; single objects as a list of one."""
        for node in RELATIONS:
            if node.parent_key:
                count = self.size if node.many else 1
                self.made[node.name] = [self.line(node, number) for number in range(count)]
        return self.made

    def project(self) -> dict[str, Any]:
        record = self.attributes(ROOT)
        for key in ("allow_merge_on_skipped_pipeline", "squash_option", "merge_commit_template"):
            enum = key == "squash_option"
            record[key] = self.random.choice(["never", "always", "default_on"]) if enum else None
        return record | {"squash_commit_template": "%{title}\n", "default_branch": "trunk"}

    def line(self, node: Node, number: int) -> dict[str, Any]:
        self.pipeline += self.random.randint(1, 3)
        record = self.record(node)
        if node.child_key in node.attributes:
            record[node.child_key] = PROJECT
        if node.name == "labels" and self.random.random() < 0.1:  # as old versions wrote them
            record |= {"project_id": None, "group_id": 77, "type": "GroupLabel"}
        if "iid" in record:
            record["iid"] = number + 1
        if node.name == "commit_notes":
            record["id"] = 100 + number
        return record

    def record(self, node: Node) -> dict[str, Any]:
        record = self.attributes(node)
        for child in node.children:
            shown = self.child(node, child, record)
            if shown is not None:
                record[child.name] = shown
        return record

    def child(self, node: Node, child: Node, record: dict[str, Any]) -> Any:
        if child.table == "users":
            return self.user(child, record.get(child.parent_key))
        if child.many:
            count = self.random.choice([0, 1, 2, 5])
            records = [self.record(child) for _ in range(count)]
            for place, one in enumerate(records):
                if "relative_order" in one:
                    one["relative_order"] = place
            return self.distinct(child, records)
        if self.random.random() < 0.2 and child.name not in ("scanner", "design"):
            return None
        return self.shared(child, record) if child.belongs_to else self.record(child)

    def distinct(self, child: Node, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """A primary key made of two references allows no pair twice."""
        seen: set[str] = set()
        keys = {"issue_assignees": "user_id", "approval_project_rules_protected_branches": "branch_name"}
        key = keys.get(child.name) or ("milestone" if child.name == "milestone_releases" else None)
        if key is None:
            return records
        return [r for r in records if (k := json.dumps(r.get(key, 0))) not in seen and not seen.add(k)]  # type: ignore[func-returns-value]

    def shared(self, child: Node, record: dict[str, Any]) -> Any:
        own = ("labels", "milestones", "merge_requests", "external_pull_requests")
        pools = {name: name for name in own} | {"p_ci_pipelines": "ci_pipelines"}
        pool = self.made.get(pools.get(child.table, ""), [])
        if child.table in ("labels", "milestones") and self.random.random() < 0.3:
            return (
                self.record(child)
                | {"project_id": None, "group_id": 77}
                | ({"type": "GroupLabel"} if child.table == "labels" else {})
            )
        if child.table in pools and not pool:
            return None  # only the project's own may be shown, and there are none (yet)
        if pool:
            shown = self.random.choice(pool)
            wanted = {*child.attributes, *(below.name for below in child.children)}
            shown = {key: value for key, value in shown.items() if key in wanted}
            changed = (
                "description" in shown and self.random.random() < 0.1
            )  # between two moments of GitLab's export
            return shown | {"description": "changed meanwhile"} if changed else shown
        made = self.record(child)
        if child.table == "epics":
            made["id"] = self.random.randint(10**6, 10**9)
        return made

    def user(self, child: Node, user_id: int | None) -> dict[str, Any] | None:
        if user_id is None:
            return None
        told = {"id": user_id, "name": self.names[user_id], "username": f"u{user_id}", "public_email": None}
        return {key: told[key] for key in child.attributes}

    def attributes(self, node: Node) -> dict[str, Any]:
        record = {name: self.value(node.table, name) for name in node.attributes}
        record |= {column: value for column, value in node.where if column in record}
        self.tie(node, record)
        return record

    def tie(self, node: Node, record: dict[str, Any]) -> None:
        """What depends on other values of the same record, or on no column at all."""
        if node.table == "notes":
            record["type"] = self.random.choice([None, "DiscussionNote", "DiffNote", "LegacyDiffNote"])
            record["author_id"] = self.random.randint(1, 8)
            for key in ("position", "original_position", "change_position"):
                texts = [None, None, "--- a text", '{"a": 1}', self.position()]
                record[key] = self.position() if record["type"] == "DiffNote" else self.random.choice(texts)
            legacy = {
                "diff": "-a\n+b",
                "new_path": "x",
                "a_mode": "100644",
                "too_large": False,
                "lines": None,
            }
            record["st_diff"] = legacy if record["type"] == "LegacyDiffNote" else None
            record["commit_id"] = self.random.choice([None, SHAS[3]])
        elif node.table == "p_ci_builds":
            record["commit_id"] = self.pipeline
            record["failure_reason"] = self.random.choice([None, "unknown_failure", "script_failure"])
        elif node.table == "merge_requests":
            record["merge_params"] = self.random.choice(
                [
                    {},
                    None,
                    {"force_remove_source_branch": "1"},
                    {"a": TEXTS[9:20], "b": {"c": None, "d": [1, {"e": 2}]}},
                ]
            )
        elif node.table == "merge_request_diffs":
            record["diff_type"] = "regular"
            record["files_count"] = 3
        elif node.table == "merge_request_diff_files":
            record["utf8_diff"] = self.random.choice(["", "@@ -1 +1 @@\n-ä\n+ö\n", "Binary files differ\n"])
        elif node.table == "members":
            record["source_type"] = "Project"
        elif node.table == "approval_project_rules":
            record["report_type"] = self.random.choice([None, "vulnerability", "scan_finding"])
        elif node.name == "approval_project_rules_protected_branches":
            record["branch_name"] = self.random.choice(self.made["protected_branches"])["name"]
        elif node.name == "ci_pipelines":
            kinds = ["push", "web", "unknown", "merge_request_event", "parent_pipeline", None]
            record["source"] = self.random.choice(kinds)
        elif node.name == "protected_branches":
            record["name"] = f"branch-{self.random.randint(1, 10**9)}"

    def position(self) -> dict[str, Any] | None:
        kind = self.random.choice(["text", "image", "file", None, "odd"])
        if kind is None:
            return None
        if kind == "odd":  # other versions, other keys
            return self.random.choice(
                [{}, {"formatter": {"old_path": ":a"}}, {"base_sha": SHAS[0], "x": [1]}]
            )
        shas = {key: self.random.choice(SHAS) for key in ("base_sha", "start_sha", "head_sha")}
        paths = {"old_path": self.text(), "new_path": "lib/a b.rb", "position_type": kind}
        line = {"line_code": "x_1_2", "type": None, "old_line": None, "new_line": 7}
        of_type = {
            "text": {
                "old_line": None,
                "new_line": 12,
                "line_range": self.random.choice([None, {"start": line, "end": line}]),
            },
            "image": {"width": 10, "height": 20, "x": 1.5, "y": 3},
            "file": {},
        }
        return shas | paths | of_type[kind]

    def value(self, table: str, name: str) -> Any:
        column, enum = ENUM_COLUMNS.get(f"{table}.{name}", (name, None))
        declared = tables()[table].columns.get(column)
        if enum is not None:
            words = [*ENUMS[enum].words.values(), *filter(None, [ENUMS[enum].null_word])]
            return self.random.choice(words)
        if declared is None or name in ("textColor", "default_branch"):
            return (
                self.random.choice(["#333333", "#FFFFFF"])
                if name == "textColor"
                else self.random.choice(SHAS)
            )
        if declared.nullable and self.random.random() < 0.2:
            return None
        return self.typed(declared.type, name)

    def typed(self, kind: str, name: str) -> Any:
        pick = self.random
        if kind in ("bigint", "integer") and name.endswith("_id"):
            return pick.randint(1, 8)
        if kind.endswith("[]"):
            return pick.choice([[], ["a"], ["b", 'c"d', "ü,{}", "NULL"]])
        if kind.startswith("timestamp"):
            day, second, millisecond = pick.randint(10, 28), pick.randint(10, 59), pick.randint(0, 999)
            return f"20{day}-03-{day}T01:59:{second}.{millisecond:03d}Z"
        size = int(kind.partition("(")[2].rstrip(")") or 200)
        choices: Mapping[str, Any] = {
            "boolean": lambda: pick.random() < 0.5,
            "smallint": lambda: pick.randint(0, 30_000),
            "integer": lambda: pick.randint(0, 2_000_000),
            "bigint": lambda: pick.randint(0, 10**12),
            "double precision": lambda: pick.choice([100.0, 12.5, 0.1, 1e20, -0.001]),
            "date": lambda: f"2024-1{pick.randint(0, 2)}-0{pick.randint(1, 9)}",
            "bytea": lambda: pick.choice(SHAS),
            "jsonb": lambda: pick.choice([{}, {"a": [1, None, "ü\n"]}, {"Signed-off-by": "x <y@z>"}]),
            "uuid": lambda: f"{pick.getrandbits(128):032x}",
        }
        found = choices.get(kind)
        if found is None:
            return self.text(size)
        value = found()
        if kind == "uuid":
            return "-".join((value[:8], value[8:12], value[12:16], value[16:20], value[20:]))
        return value

    def text(self, size: int = 200) -> str:
        text = self.random.choice(TEXTS) + self.random.choice(["", "", str(self.random.randint(0, 999))])
        return text[:size]


def write(
    path: Path, made: Mapping[str, list[dict[str, Any]]], project: Mapping[str, Any], **files: bytes
) -> Path:
    """Write an archive of these records; further members by name."""
    nodes = {node.name: node for node in RELATIONS}
    members = {"VERSION": b"0.2.4", "GITLAB_VERSION": b"18.9.0", "GITLAB_REVISION": b"abc"}
    members |= {"tree/project.json": dumped(project), "lfs-objects.json": b"{}"} | files
    for name, records in made.items():
        many = nodes[name].many if name in nodes else True
        ending = b"\n" if many else b""
        members[f"tree/project/{name}.ndjson"] = b"".join(dumped(record) + ending for record in records)
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
