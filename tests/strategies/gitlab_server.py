"""A server that imitates GitLab's import API, written from GitLab's documentation of it ("Project import and
export API", "Projects API", "Namespaces API"), not from a running GitLab.
"""

from __future__ import annotations

import email
import email.policy
import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.strategies.servers import Answer, HttpServer, Request

TOKEN = "planted-token-of-gitlab"


@dataclass
class Project:
    id: int
    path: str
    archive: bytes
    statuses: deque[str] = field(default_factory=lambda: deque(["scheduled", "started", "finished"]))
    """One for each question; the last one stays."""
    error: str | None = None
    failed_relations: list[dict[str, Any]] = field(default_factory=list)
    kind: str = "gitlab_project"
    fetched: str | None = None

    @property
    def status(self) -> str:
        return self.statuses.popleft() if len(self.statuses) > 1 else self.statuses[0]

    def answer(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.path.rpartition("/")[2],
            "path": self.path.rpartition("/")[2],
            "path_with_namespace": self.path,
            "import_status": self.status,
            "import_type": self.kind,
            "import_error": self.error,
            "correlation_id": "mezklWso3Za",
            "failed_relations": self.failed_relations,
        }


class FakeGitlab:
    """Its projects, and how its next answers deviate."""

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self.projects: dict[int, Project] = {}
        self.groups = {"group": 10, "group/sub": 11}
        self.next_project = Project(0, "", b"")
        """What an imported project is like besides its id, path and bytes."""
        self.posts: deque[Answer] = deque()
        """Given to the next imports instead of doing them."""
        self.lost_answers = 0
        """So many imports are done and then answered with 504, as by a proxy that lost patience."""
        self.refuse: Answer | None = None
        server.reply = self.reply

    def add(self, path: str, archive: bytes = b"", **more: Any) -> Project:
        project = Project(100 + len(self.projects), path, archive, **more)
        self.projects[project.id] = project
        return project

    def by_path(self, path: str) -> Project | None:
        return next((project for project in self.projects.values() if project.path == path), None)

    def imports(self) -> list[Request]:
        return [request for request in self.server.requests if request.method == "POST"]

    def reply(self, request: Request) -> Answer:
        if request.headers.get("private-token") != TOKEN:
            return _json(401, {"message": "401 Unauthorized"})
        path = request.path.partition("?")[0].removeprefix("/api/v4")
        if request.method == "POST":
            return self._import(request, path)
        words = path.strip("/").split("/")
        match words:
            case ["version"]:
                return _json(200, {"version": "18.9.0-ee", "revision": "abc"})
            case ["namespaces", name]:
                found = self.groups.get(unquote(name))
                return (
                    _json(200, {"id": found, "kind": "group"})
                    if found
                    else _json(404, {"message": "404 Not found"})
                )
            case ["projects", name] | ["projects", name, "import"]:
                project = self._named(name)
                if project is None:
                    return _json(404, {"message": "404 Project Not Found"})
                if request.method == "DELETE":
                    del self.projects[project.id]
                    return _json(202, {"message": "202 Accepted"})
                return _json(
                    200,
                    project.answer() if words[-1] == "import" else {"id": project.id, "path": project.path},
                )
        return _json(404, {"error": "404 Not Found"})

    def _named(self, name: str) -> Project | None:
        return self.projects.get(int(name)) if name.isdecimal() else self.by_path(unquote(name))

    def _import(self, request: Request, path: str) -> Answer:
        if self.refuse is not None:
            return self.refuse
        if self.posts:
            return self.posts.popleft()
        form = json.loads(request.body) if path.endswith("remote-import") else _form(request)
        group = next(name for name, number in self.groups.items() if str(number) == _text(form["namespace"]))
        full = f"{group}/{_text(form['path'])}"
        if self.by_path(full):
            return _json(400, {"message": "Name has already been taken, Path has already been taken"})
        like = self.next_project
        project = self.add(
            full,
            form.get("file", b""),
            statuses=deque(like.statuses),
            error=like.error,
            failed_relations=like.failed_relations,
            fetched=form.get("url"),
        )
        if self.lost_answers:
            self.lost_answers -= 1
            return Answer(504, body=b"<html>gateway time-out</html>")
        return _json(201, {**project.answer(), "import_status": "scheduled"})


def _form(request: Request) -> dict[str, Any]:
    """The fields of a multipart form, read by the standard library's own parser."""
    if not request.body:
        return {"namespace": "10", "path": "new", "file": b""}
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    parsed = email.message_from_bytes(head + request.body, policy=email.policy.HTTP)
    fields = {}
    for part in parsed.iter_parts():  # type: ignore[attr-defined]
        fields[part.get_param("name", header="content-disposition")] = part.get_payload(decode=True)
    return fields


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _json(status: int, value: Any) -> Answer:
    return Answer(status, {"Content-Type": "application/json"}, json.dumps(value).encode())
