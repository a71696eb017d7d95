"""Carries an archive into a GitLab: start the import once, wait for its end, say what it could not take."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from export_core.delivery import Archive, Checkpoint, Delivery, DeliveryContext, Strategy
from export_core.errors import DestinationUnusable
from strategies.gitlab_api import GitlabServer
from strategies.metering import Meter
from strategies.patience import Patience
from strategies.project_path import taken
from strategies.rate_limit import RateLimit

_T = TypeVar("_T")
_SLICE = 0.2
"""Seconds between two looks at whether the job must stop."""
_MOST_FAILURES = 100
"""GitLab itself lists no more failed relations."""

Start = Callable[[GitlabServer, int], int]
"""Starts the import in a namespace; the new project's id."""


class GitlabImport:
    """One import. The checkpoint knows whether it was begun (``starting``) and the new project's id."""

    def __init__(self, server: GitlabServer, path: str, context: DeliveryContext, poll: float) -> None:
        self._server = server
        self._path = path
        self._group, _, self._name = path.rpartition("/")
        self._context = context
        self._poll = poll

    def run(self, start: Start) -> Mapping[str, Any]:
        """Start it, unless a killed delivery did, and wait for its end. GitLab's last word on it."""
        project = self._state().get("project_id")
        status = self._status(project) if project is not None else None
        if status is None:
            project = self._try(lambda: self._start(start))
            self._save(project_id=project)
            status = self._status(project)
        return self._wait(int(project or 0), status)

    def upload(self, archive: Archive, limit: RateLimit) -> Start:
        """Start by sending the archive's bytes as a multipart form."""
        meter = Meter(self._context.job.id, archive.size, self._context.listener)

        def start(server: GitlabServer, namespace: int) -> int:
            meter.reach(0)
            with FormFile(archive, self._context.check_stop, limit, meter) as stream:
                return server.upload(stream, self._name, namespace)  # type: ignore[arg-type]

        return start

    def fetch(self, archive: Archive, upload: Strategy, url: str) -> Start:
        """Start by delivering the archive to a place from which GitLab fetches it."""

        def start(server: GitlabServer, namespace: int) -> int:
            inner = DeliveryContext(
                self._context.job,
                _Inner(self._context.checkpoint),
                self._context.listener,
                self._context.check_stop,
            )
            upload.deliver(archive, inner)
            return server.fetch(url, self._name, namespace)

        return start

    def _start(self, start: Start) -> int:
        existing = self._server.project_id(self._path)
        if existing is not None:
            return self._adopt(existing)
        namespace = self._server.namespace_id(self._group)
        self._save(starting=True)
        return start(self._server, namespace)

    def _adopt(self, existing: int) -> int:
        """A project that appeared while we were starting is ours: the connection broke, or we were killed."""
        status = self._server.import_status(existing) or {}
        imported = status.get("import_status", "none") != "none"
        if (
            self._state().get("starting")
            and imported
            and status.get("import_type") in (None, "gitlab_project")
        ):
            return existing
        raise taken(self._path, self._server.url)

    def _wait(self, project: int, status: Mapping[str, Any] | None) -> Mapping[str, Any]:
        while True:
            if status is None:
                raise DestinationUnusable(
                    f"project {self._path} was deleted while it was imported",
                    hint="to import anew: packmule resume",
                )
            if status.get("import_status") == "finished":
                return status
            if status.get("import_status") == "failed":
                raise failed(self._path, status)
            self._pause()
            status = self._status(project)

    def _status(self, project: int) -> Mapping[str, Any] | None:
        return self._try(lambda: self._server.import_status(project))

    def _try(self, call: Callable[[], _T]) -> _T:
        for attempt in Patience(self._context.check_stop).attempts():
            with attempt:
                return call()
        raise DestinationUnusable(f"{self._server.url} was not asked at all")  # stamina tries at least once

    def _pause(self) -> None:
        end = time.monotonic() + self._poll
        while (left := end - time.monotonic()) > 0:
            self._context.check_stop()
            time.sleep(min(left, _SLICE))
        self._context.check_stop()

    def _state(self) -> dict[str, Any]:
        return self._context.checkpoint.load()

    def _save(self, **changes: Any) -> None:
        self._context.checkpoint.save({**self._state(), **changes})


class FormFile:
    """An archive as one field of a multipart form: read in small blocks, its remaining length known.

    requests-toolbelt's encoder asks for ``len`` and ``read`` and keeps no more than one block; a descriptor
    it must not see, or it would measure the file rather than the archive.
    """

    def __init__(
        self, archive: Archive, check_stop: Callable[[], None], limit: RateLimit, meter: Meter
    ) -> None:
        self._stream = archive.open(0)
        self._check_stop = check_stop
        self._limit = limit
        self._meter = meter
        self.len = archive.size

    def __enter__(self) -> FormFile:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stream.close()

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes, or all that is left."""
        self._check_stop()
        data = self._stream.read(size)
        if not data and self.len:
            raise DestinationUnusable(
                f"the archive ends {self.len:,} bytes too early", hint="somebody changed it; export again"
            )
        self._limit.take(len(data), self._check_stop)
        self.len -= len(data)
        self._meter.add(len(data))
        return data


class _Inner:
    """The checkpoint of the upload before a remote import, kept inside that of the import."""

    def __init__(self, outer: Checkpoint) -> None:
        self._outer = outer

    def load(self) -> dict[str, Any]:
        return dict(self._outer.load().get("upload", {}))

    def save(self, value: Mapping[str, Any]) -> None:
        self._outer.save({**self._outer.load(), "upload": dict(value)})


def inner_checkpoint(checkpoint: Checkpoint) -> Checkpoint:
    """The upload's own checkpoint within that of a remote import."""
    return _Inner(checkpoint)


def failed(path: str, status: Mapping[str, Any]) -> DestinationUnusable:
    """The error for an import that GitLab gave up, with its reason and the relations that failed."""
    why = str(status.get("import_error") or "GitLab gives no reason")[:500]
    relations = failures(status)
    hint = "delete the half-made project there, put right what GitLab says, then: packmule resume"
    if "version mismatch" in why.lower():
        hint = "that GitLab reads another archive format: import into one of a version near the source's"
    more = f"; failed relations: {'; '.join(relations)}" if relations else ""
    return DestinationUnusable(f"GitLab could not import {path}: {why}{more}", hint=hint)


def failures(status: Mapping[str, Any]) -> list[str]:
    """One sentence for each record that GitLab could not import."""
    records = status.get("failed_relations") or []
    return [_failure(record) for record in records[:_MOST_FAILURES]]


def _failure(record: Mapping[str, Any]) -> str:
    line = record.get("line_number")
    where = f" (line {line})" if line is not None else ""
    why = record.get("exception_message") or record.get("exception_class") or "no reason given"
    return f"{record.get('relation_name') or 'something'}{where}: {str(why)[:200]}"


def delivery(destination: str, status: Mapping[str, Any]) -> Delivery:
    """A finished import as the job keeps it; what GitLab left out becomes warnings."""
    lost = tuple(f"GitLab did not import {text}" for text in failures(status))
    facts = {"project_id": status.get("id"), "path": status.get("path_with_namespace")}
    return Delivery(destination, details={k: v for k, v in facts.items() if v is not None}, warnings=lost)
