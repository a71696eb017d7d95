"""The relations of the demonstration project, told as far as they mean something; the rest is filled in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from export_core.gitlab.tree import ROOT, Node, relations
from export_core.sources.embedded import demo_story as story
from export_core.sources.embedded.demo_git import Repository
from export_core.sources.embedded.demo_records import Record, RecordMaker
from export_core.sources.embedded.demo_story import ADA, BEN, CLEO, DAO, PEOPLE

_NAMES = {person.id: person.name for person in PEOPLE}
_LABELS = (
    ("bug", "#d9534f", "#FFFFFF"),
    ("load", "#f0ad4e", "#1F1E24"),
    ("route", "#5bc0de", "#1F1E24"),
)


class DemoTree:
    """Builds the records, in the order of the story; later ones refer to earlier ones."""

    def __init__(self, project: Repository, designs: Repository) -> None:
        self._project = project
        self._designs = designs
        self._nodes = relations()
        self._made: dict[str, list[Record]] = {}
        self._records = RecordMaker(
            {
                "author": lambda record: {"name": _NAMES[record["author_id"]]},
                "user": lambda record: _person(record.get("user_id")),
                "label": lambda _: self._made["labels"][0],
                "milestone": lambda _: self._made["milestones"][0],
                "commit_author": lambda _: {"name": CLEO.name, "email": CLEO.email},
                "committer": lambda _: {"name": CLEO.name, "email": CLEO.email},
                "merge_request": lambda _: self._made["merge_requests"][0],
                "external_pull_request": lambda _: self._made["external_pull_requests"][0],
                "design": lambda _: {**_DESIGN, "project_id": 1},
                "iteration": lambda _: self._iteration(),
                "work_item_type": lambda _: {"base_type": "issue"},
                "scanner": lambda _: _SCANNER,
                "primary_identifier": lambda _: _IDENTIFIER,
                "initial_finding_pipeline": lambda _: {"iid": 1},
                "latest_finding_pipeline": lambda _: {"iid": 1},
            }
        )

    def project(self) -> Record:
        """The root object."""
        return self._records.make(
            ROOT,
            {
                "description": "A demonstration project of packmule's own making.",
                "default_branch": "main",
                "squash_option": "default_off",
                "merge_commit_template": "Merge branch '%{source_branch}' into '%{target_branch}'",
            },
        )

    def relations(self) -> dict[str, list[Record]]:
        """The records of every relation by name, in an order in which each finds what it refers to."""
        for name, given in self._told():
            node = self._nodes[name]
            self._made[name] = [
                self._records.make(node, item, complete=number == 0) for number, item in enumerate(given)
            ]
        for name, node in self._nodes.items():
            if name not in self._made:
                self._made[name] = self._untold(node)
        return {name: self._made[name] for name in self._nodes}

    def _untold(self, node: Node) -> list[Record]:
        # Never filled in a file export: it belongs to the direct transfer between two GitLabs.
        if node.name == "user_contributions":
            return []
        return [self._records.make(node, _SMALL.get(node.name, {}), complete=True)]

    def _told(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        yield (
            "labels",
            [
                {"title": title, "color": color, "textColor": text, "priorities": [{"priority": 10 * place}]}
                for place, (title, color, text) in enumerate(_LABELS)
            ],
        )
        yield "milestones", [{"title": f"{n}. crossing", "iid": n, "state": "active"} for n in (1, 2)]
        yield "issues", list(self._issues())
        yield "snippets", _SNIPPETS
        yield "releases", [self._release("v0.2.0", story.MERGE), self._release("v0.1.0", story.BASE - 1)]
        yield "project_members", [_member(person) for person in PEOPLE]
        yield "external_pull_requests", [self._external_pull_request()]
        yield "merge_requests", list(self._merge_requests())
        yield "commit_notes", [self._commit_note()]
        yield "ci_pipelines", [self._pipeline(number) for number in (1, 2)]
        yield "boards", [_BOARD]

    def _issues(self) -> Iterator[dict[str, Any]]:
        yield {
            "iid": 1,
            "title": "The saddle slips on the steep part",
            "description": f"See the ![map](/uploads/{story.MAP_SECRET}/map%20of%20the%20pass.png).",
            "author_id": ADA.id,
            "state": "opened",
            "weight": 3,
            "health_status": "at_risk",
            "relative_position": 513,
            "notes": [
                {"note": "Tighten it at the chapel; it always slips *there*.", "author_id": DAO.id},
                {"note": "added ~load label", "system": True, "author_id": ADA.id},
            ],
            "designs": [{**_DESIGN, "notes": [{"note": "Too wide?", "author_id": BEN.id}]}],
            "design_versions": [{"sha": self._designs.commits[0], "author_id": CLEO.id}],
            "sentry_issue": {"sentry_issue_identifier": 4711},
            "zoom_meetings": [{"url": "https://zoom.us/j/123456789", "issue_status": "added"}],
            "work_item_description": {"description": "See the map."},
            "epic_issue": {"id": 1, "relative_position": 1, "epic": _EPIC},
            "issuable_sla": {"due_at": "2024-04-01T12:00:00.000Z"},
            "timelogs": [{"time_spent": 5400, "spent_at": "2024-03-05T09:00:00.000Z", "summary": "on foot"}],
        }
        yield {
            "iid": 2,
            "title": "Rope is missing in the packing list",
            "description": f"[packing-list.csv](/uploads/{story.LIST_SECRET}/packing-list.csv) has none. 🐴",
            "author_id": CLEO.id,
            "state": "closed",
            "closed_at": "2024-03-06T10:00:00.000Z",
            "closed_by_id": BEN.id,
            "relative_position": 1026,
            "label_links": [{"target_type": "Issue", "label": self._made["labels"][1]}],
            "milestone": self._made["milestones"][0],
            "work_item_type": {"base_type": "issue"},
        }
        yield {
            "iid": 3,
            "title": 'Quotes ", <angles>, & a \\ backslash\tand a tab',
            "description": "Nothing of this may change on the way: \u2028 \u00e9 \U0001f9f3",
            "author_id": DAO.id,
            "state": "opened",
            "work_item_type": {"base_type": "task"},
        }

    def _merge_requests(self) -> Iterator[dict[str, Any]]:
        shas = self._project.commits
        yield {
            **self._merge_request(1, "fix/readme", "Tell where the hut is", story.FIX),
            "state": "merged",
            "merge_status": "can_be_merged",
            "merge_commit_sha": shas[story.MERGE],
            "merge_user_id": BEN.id,
            "metrics": {"merged_at": "2024-03-04T12:00:00.000Z", "merged_by_id": BEN.id, "commits_count": 1},
        }
        yield {
            **self._merge_request(2, "feature/limit", "Refuse more than a mule can carry", story.FEATURE),
            "state": "opened",
            "draft": True,
            "milestone": self._made["milestones"][1],
        }

    def _merge_request(self, iid: int, branch: str, title: str, head: int) -> dict[str, Any]:
        shas = self._project.commits
        base = shas[head - 1]
        diff = self._project.diff(base, shas[head])
        path = diff.partition("+++ b/")[2].partition("\n")[0]
        return {
            "iid": iid,
            "title": title,
            "author_id": CLEO.id,
            "source_branch": branch,
            "target_branch": "main",
            "merge_params": {"force_remove_source_branch": "1"},
            "diff_head_sha": shas[head],
            "source_branch_sha": shas[head],
            "target_branch_sha": shas[story.MERGE],
            "notes": [self._diff_note(base, shas[head], path, diff)],
            "merge_request_diff": {
                "state": "collected",
                "base_commit_sha": base,
                "head_commit_sha": shas[head],
                "start_commit_sha": base,
                "commits_count": 1,
                "files_count": 1,
                "real_size": "1",
                "sorted": True,
                "diff_type": "regular",
                "merge_request_diff_commits": [self._commit(head, title)],
                "merge_request_diff_files": [_diff_file(path, utf8_diff=_hunks(diff))],
            },
        }

    def _commit(self, number: int, message: str) -> dict[str, Any]:
        told = {
            "sha": self._project.commits[number],
            "message": f"{message}\n",
            "authored_date": "2024-03-04T11:00:00.000Z",
            "committed_date": "2024-03-04T11:00:00.000Z",
        }
        return {**told, "relative_order": 0, "merge_request_commits_metadata": told}

    def _diff_note(self, base: str, head: str, path: str, diff: str) -> dict[str, Any]:
        position = {
            "base_sha": base,
            "start_sha": base,
            "head_sha": head,
            "old_path": path,
            "new_path": path,
            "position_type": "text",
            "old_line": None,
            "new_line": 5,
            "line_range": None,
        }
        line_code = f"{_sha1(path)}_5_5"
        return {
            "note": "Is that enough?\n\n```suggestion:-0+0\nThe hut stands at 2,311 m.\n```",
            "author_id": BEN.id,
            "type": "DiffNote",
            "line_code": line_code,
            "discussion_id": _sha1(f"discussion {line_code}"),
            "position": position,
            "original_position": position,
            "note_diff_file": _diff_file(path, diff_export=_hunks(diff)),
            "suggestions": [
                {"from_content": "The hut stands at 2,310 m.\n", "to_content": "The hut stands at 2,311 m.\n"}
            ],
        }

    def _release(self, tag: str, commit: int) -> dict[str, Any]:
        return {
            "tag": tag,
            "name": f"Over the pass {tag}",
            "sha": self._project.commits[commit],
            "released_at": "2024-03-07T08:00:00.000Z",
            "links": [{"url": f"https://example.com/{tag}", "name": f"Map for {tag}", "link_type": "other"}],
        }

    def _external_pull_request(self) -> dict[str, Any]:
        shas = self._project.commits
        return {
            "pull_request_iid": 7,
            "status": "open",
            "source_branch": "patch",
            "target_branch": "main",
            "source_repository": "somebody/over-the-pass",
            "target_repository": "packmule/over-the-pass",
            "source_sha": shas[story.FEATURE],
            "target_sha": shas[story.MERGE],
        }

    def _commit_note(self) -> dict[str, Any]:
        sha = self._project.commits[story.BASE - 1]
        return {"id": 1, "note": "Nice.", "commit_id": sha, "author_id": DAO.id, "discussion_id": _sha1(sha)}

    def _pipeline(self, iid: int) -> dict[str, Any]:
        job = {"name": "balance", "status": "success", "ref": "main", "stage_idx": 0, "commit_id": iid}
        job["failure_reason"] = "unknown_failure"  # GitLab's word for none
        build = {**job, "coverage": 97.5, "when": "on_success", "scheduling_type": "stage"}
        return {
            "iid": iid,
            "ref": "main",
            "sha": self._project.commits[story.BASE + iid - 1],
            "status": "success",
            "source": "push",
            "config_source": "repository_source",
            "duration": 42,
            "pipeline_metadata": {"name": f"Crossing {iid}"} if iid == 1 else None,
            "stages": [
                {
                    "name": "check",
                    "status": "success",
                    "position": 0,
                    "builds": [build],
                    "bridges": [{**job, "name": "hut"}] if iid == 1 else [],
                    "generic_commit_statuses": [{**job, "name": "weather"}] if iid == 1 else [],
                }
            ],
        }

    def _iteration(self) -> Record:
        node = next(child for child in self._nodes["issues"].children if child.name == "iteration")
        cadence = {"title": "Fortnights"}
        told = {"iid": 1, "start_date": "2024-03-04", "due_date": "2024-03-17", "group_id": 1}
        times = dict.fromkeys(("created_at", "updated_at"), "2024-03-01T08:00:00.000Z")
        return self._records.make(node, {**told, **times, "iterations_cadence": cadence})


def _person(user_id: int | None) -> Record | None:
    for person in PEOPLE:
        if person.id == user_id:
            return {"id": person.id, "username": person.username, "public_email": person.email}
    return None


def _member(person: story.Person) -> dict[str, Any]:
    return {
        "user_id": person.id,
        "access_level": person.access_level,
        "notification_level": 3,
        "user": _person(person.id),
    }


def _diff_file(path: str, **text: str) -> dict[str, Any]:
    modes = dict.fromkeys(("a_mode", "b_mode"), "100644")
    return {"new_path": path, "old_path": path, "too_large": False, "binary": False, **modes, **text}


def _hunks(diff: str) -> str:
    """The part that GitLab keeps of a diff: from the first hunk on."""
    return diff[diff.index("@@") :]


def _sha1(text: str) -> str:
    import hashlib

    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


_DESIGN = {"filename": story.DESIGN_FILE, "iid": 1, "relative_position": 1}
_EPIC = {"id": 1, "group_id": 1, "iid": 1, "title": "A year on the pass", "title_html": "A year on the pass"}
_SCANNER = {"project_id": 1, "external_id": "saddle-scan", "name": "Saddle scan", "vendor": "packmule"}
_IDENTIFIER = {
    "project_id": 1,
    "fingerprint": _sha1("worn girth"),
    "external_type": "cwe",
    "external_id": "404",
    "name": "CWE-404",
    "url": "https://cwe.mitre.org/data/definitions/404.html",
}
_SNIPPETS: list[dict[str, Any]] = [
    {
        "title": title,
        "file_name": name,
        "content": next(iter(story.SNIPPET_STORIES[name][0].files.values())).decode(),
        "description": description,
        "author_id": author.id,
    }
    for name, title, description, author in (
        ("weigh.py", "Weigh the boxes", "One line of weights, please.", BEN),
        ("knots.md", "Knots", None, DAO),
    )
]
_BOARD: dict[str, Any] = {
    "name": "Crossings",
    "lists": [{"list_type": "label", "position": 0}, {"list_type": "closed", "position": None}],
}
_ANYONE = {"access_level": 40}
_SMALL: dict[str, dict[str, Any]] = {
    "auto_devops": {"enabled": False},
    "pipeline_schedules": {
        "description": "Every morning",
        "ref": "main",
        "cron": "0 5 * * *",
        "cron_timezone": "UTC",
    },
    "container_expiration_policy": {"cadence": "1d", "keep_n": 10},
    "protected_branches": {
        "name": "main",
        **{f"{kind}_access_levels": [_ANYONE] for kind in ("merge", "push", "unprotect")},
    },
    "protected_tags": {"name": "v*", "create_access_levels": [_ANYONE]},
    "project_feature": {"issues_access_level": 20, "wiki_access_level": 20, "builds_access_level": 20},
    "custom_attributes": {"key": "region", "value": "north side"},
    "project_badges": {
        "name": "crossings",
        "link_url": "https://example.com/%{project_path}",
        "image_url": "https://example.com/badge.svg",
    },
    "error_tracking_setting": {"api_url": "https://sentry.example.com/api/0/projects/packmule/demo/"},
    "service_desk_setting": {"project_key": "mule"},
    "protected_environments": {"name": "hut", "deploy_access_levels": [_ANYONE]},
    "push_rule": {"commit_message_regex": ".+", "max_file_size": 10},
    "approval_rules": {
        "name": "Saddlers",
        "approvals_required": 1,
        "approval_project_rules_protected_branches": [{"branch_name": "main"}],
        "approval_project_rules_users": [{"user_id": BEN.id}],
    },
    "vulnerabilities": {
        "title": "Worn girth",
        "severity": "high",
        "report_type": "sast",
        "vulnerability_finding": {
            "name": "Worn girth",
            "severity": "high",
            "report_type": "sast",
            "uuid": "3f2b1c9a-5d1e-5f4b-9c7d-0a1b2c3d4e5f",
            "location_fingerprint": _sha1("girth"),
            "metadata_version": "15.0.0",
            "raw_metadata": json.dumps({"location": {"file": "pack.py"}}),
            "identifiers": [_IDENTIFIER],
        },
    },
}
