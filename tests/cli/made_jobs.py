"""Jobs in every state, written into a store without running an export, with times of one's choice."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from export_core.job import ArchiveInfo, ErrorInfo, JobRequest, JobStatus, SnapshotInfo, StrategyChoice
from export_core.ownership import current_owner
from export_core.source import Part, Plan
from export_core.store import JobStore
from export_core.workspace import Home

SECRET = "glpat-verysecret"


def asked(project: str = "group/project", to: str | None = None) -> JobRequest:
    """A request with a secret in every place that may hold one."""
    return JobRequest(
        project=project,
        source="fake",
        source_options={"kind": "fake", "url": f"postgresql://u:{SECRET}@h/d"},
        strategy=StrategyChoice(
            "move-file" if to else "notification", to, {"token": SECRET} | ({"to": to} if to else {})
        ),
        notify=(f"json://user:{SECRET}@127.0.0.1:9",),
        export_options={"token": SECRET},
    )


@dataclass
class MadeJobs:
    """Makes jobs; ``ago`` is how long before now the next things happen."""

    root: Path
    ago: timedelta = timedelta(0)
    notify: tuple[str, ...] = ()
    """Receivers of the next jobs, in place of one that is not there."""
    store: JobStore = field(init=False)

    def __post_init__(self) -> None:
        self.store = JobStore(self.home.store, clock=lambda: datetime.now(UTC) - self.ago)

    @property
    def home(self) -> Home:
        return Home(self.root)

    def make(self, status: str, project: str = "group/project", to: str | None = None) -> int:
        """A job in a state, with files as such a job has them."""
        request = asked(project, to)
        job_id = self.store.create(replace(request, notify=self.notify or request.notify)).id
        if status == JobStatus.QUEUED:
            return job_id
        if status == JobStatus.CANCELLED:
            self.store.cancel(job_id)
            return job_id
        me = current_owner()
        self.store.claim(job_id, me)
        if status == JobStatus.FINISHED:
            self._finish(job_id, to)
            return job_id
        segments = self.home.job(job_id).segments
        segments.mkdir(parents=True)
        (segments / "issues.0.0").write_bytes(b"x" * 2000)
        if status == JobStatus.FAILED:
            error = ErrorInfo(
                "RelationFailed", "relation issues (part 3) failed:\nno table", "packmule doctor"
            )
            self.store.fail(job_id, me, error)
        elif status == JobStatus.INTERRUPTED:
            self.store.release(job_id, me)
        return job_id

    def mixed(self) -> int:
        """A finished job of three relations, of which one was read from two snapshots."""
        job_id, me = self.store.create(asked()).id, current_owner()
        self.ago = timedelta(hours=1)
        self.store.claim(job_id, me)
        parts = (
            Part("labels", 0, "labels.ndjson"),
            Part("issues", 0, "issues.ndjson"),
            Part("issues", 1, "issues.ndjson"),
        )
        plan = Plan(
            parts, warnings=("the database has no column x",), relations=("labels", "issues", "avatar")
        )
        self.store.save_plan(
            job_id, plan, SnapshotInfo(0, "t0", "2026-01-01T00:00:00.000Z", {"server": "18"})
        )
        self._part(job_id, "labels", 0, 0, seconds=10)
        self._part(job_id, "issues", 0, 0, seconds=10)
        self.store.add_snapshot(job_id, SnapshotInfo(1, "t1", "2026-01-01T01:00:00.000Z"))
        self._part(job_id, "issues", 1, 1, seconds=20)
        self._finish(job_id, None)
        return job_id

    def _part(self, job_id: int, relation: str, number: int, snapshot: int, *, seconds: int) -> None:
        self.store.start_part(job_id, relation, number, snapshot)
        self.ago -= timedelta(seconds=seconds)
        self.store.finish_part(
            job_id, relation, number, {}, snapshot_number=snapshot, seconds=seconds, lines=1000, bytes=5000
        )

    def _finish(self, job_id: int, to: str | None) -> None:
        path = Path(to) if to else self.home.archive(job_id, "a.tar.gz")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"y" * 1500)
        archive = ArchiveInfo(str(path), 1500, "ab" * 32)
        delivery = {"destination": str(path)}
        self.store.finish(job_id, current_owner(), archive, delivery, in_store=to is None)
