"""Plans carried out: files under pyfakefs with records in memory, then a real store with real files."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyfakefs.fake_filesystem import FakeFilesystem

from export_core.cleaner import Policy, Removal, RemovalKind, plan_cleanup
from export_core.errors import JobConflict
from export_core.job import ArchiveInfo, ErrorInfo, Job, JobRequest, JobStatus, StrategyChoice
from export_core.ownership import current_owner
from export_core.removal import Result, Tools, apply_cleanup, look_around
from export_core.store import JobStore
from export_core.workspace import Home

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OLD = "2026-02-01T12:00:00.000Z"
HOME = Home(Path("/data/packmule"))


@pytest.fixture
def fs(fs: FakeFilesystem, monkeypatch: pytest.MonkeyPatch) -> FakeFilesystem:
    """The fake file system, with paths of its own kind: to Python 3.13 real ones are others."""
    monkeypatch.setitem(globals(), "HOME", Home(Path("/data/packmule")))
    return fs


class MemoryRecords:
    """Records that always agree, but for the jobs in ``living``."""

    def __init__(self, living: Iterable[int] = ()) -> None:
        self.living = set(living)
        self.done: list[tuple[Any, ...]] = []

    def retire(self, job_id: int, error: ErrorInfo, take_away: Callable[[], object]) -> None:
        if job_id in self.living:
            raise JobConflict(f"job {job_id} is being run")
        take_away()
        self.done.append(("retire", job_id, error.kind))

    def delete(self, job_id: int) -> None:
        self.done.append(("delete", job_id))

    def remove_archive(self, path: str, job_ids: Iterable[int], unlink: Callable[[], object]) -> None:
        unlink()
        self.done.append(("archive", path, *job_ids))


def tools(records: Any, home: Home | None = None, abandoned: list[int] | None = None, **more: Any) -> Tools:
    found = abandoned if abandoned is not None else []
    nothing: dict[str, Any] = {"stop_embedded": lambda: None, "remove_embedded": lambda: None}
    return Tools(home=home or HOME, records=records, **{"abandon": found.append, **nothing, **more})


def job(number: int, status: str, **more: Any) -> Job:
    request = JobRequest("group/project", "embedded")
    return Job(number, request, JobStatus(status), None, created_at=OLD, finished_at=OLD, **more)


def carried_out(removals: Iterable[Removal], with_tools: Tools) -> list[Result]:
    return list(apply_cleanup(removals, with_tools))


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


class TestFiles:
    def test_plan_and_carrying_out(self, fs: FakeFilesystem) -> None:
        for name in ("jobs/1/segments/issues.0.0", "jobs/2/x", "jobs/9/x", "jobs/.removing-4-ab/x"):
            fs.create_file(HOME.root / name, contents="abc")
        for name in ("archives/3/a.tar.gz", "archives/5/a.tar.gz", "archives/8/lost.tar.gz", "packmule.db"):
            fs.create_file(HOME.root / name, contents="abcde")
        fs.create_file("/srv/users-own.tar.gz")
        jobs = [
            job(1, "interrupted"),
            job(2, "started"),
            job(3, "finished", in_store=True, archive=ArchiveInfo(str(HOME.archive(3, "a.tar.gz")), 5, "ab")),
            job(6, "finished", archive=ArchiveInfo("/srv/users-own.tar.gz", 5, "ab")),
            Job(5, job(5, "finished").request, JobStatus.FINISHED, None, "2026-03-01T11:00:00.000Z",
                archive=ArchiveInfo(str(HOME.archive(5, "a.tar.gz")), 5, "ab"), in_store=True),
        ]  # fmt: skip
        records, facts = MemoryRecords(), look_around(HOME, frozenset())
        removals = plan_cleanup(jobs, NOW, Policy(), facts)
        results = carried_out(removals, tools(records))
        assert [result.removal for result in results] == removals
        assert [result.error for result in results] == [None] * len(removals)
        assert files(HOME.root) == {"jobs/2/x", "archives/5/a.tar.gz", "packmule.db"}
        assert sorted(path.name for path in HOME.archives.iterdir()) == ["5"]
        assert Path("/srv/users-own.tar.gz").exists()
        assert records.done == [
            ("retire", 1, "Expired"),
            ("retire", 1, "Expired"),
            ("archive", str(HOME.archive(3, "a.tar.gz")), 3),
            ("archive", str(HOME.archive(8, "lost.tar.gz"))),
            ("delete", 3),
            ("delete", 6),
        ]
        assert sum(removal.size for removal in removals) == 3 * 3 + 2 * 5
        assert plan_cleanup(jobs[1:2] + jobs[4:], NOW, Policy(), look_around(HOME, frozenset())) == []

    def test_nothing_there_is_nothing_to_do(self, fs: FakeFilesystem) -> None:
        assert look_around(HOME, frozenset()) == look_around(Home(Path("/nowhere")), frozenset())

    def test_a_failure_is_reported_and_stops_neither_the_others_nor_itself_next_time(
        self, fs: FakeFilesystem
    ) -> None:
        fs.create_file(HOME.root / "jobs/1/x")
        fs.create_file(HOME.root / "jobs/2/x")
        removals = plan_cleanup(
            [job(1, "failed"), job(2, "failed")], NOW, Policy(), look_around(HOME, frozenset())
        )
        results = carried_out(removals, tools(MemoryRecords(living=[1])))
        assert [(r.removal.kind.value, r.removal.jobs, r.error) for r in results] == [
            ("work directory", (1,), "job 1 is being run"),
            ("work directory", (2,), None),
            ("job", (1,), "kept, because something of it could not be removed"),
            ("job", (2,), None),
        ]
        assert files(HOME.root) == {"jobs/1/x"}

    def test_any_fault_of_a_strategy_is_reported(self, fs: FakeFilesystem) -> None:
        def fail(job_id: int) -> None:
            raise ValueError("no such bucket")

        upload = Removal(RemovalKind.UPLOAD, "s3://b/k", "cancelled", (1,))
        (result,) = carried_out([upload], tools(MemoryRecords(), abandon=fail))
        assert result.error == "ValueError: no such bucket"

    def test_an_upload_is_abandoned(self, fs: FakeFilesystem) -> None:
        abandoned: list[int] = []
        upload = Removal(RemovalKind.UPLOAD, "s3://b/k", "cancelled", (3,))
        assert carried_out([upload], tools(MemoryRecords(), abandoned=abandoned)) == [Result(upload)]
        assert abandoned == [3]

    @pytest.mark.parametrize(
        "target", ["/etc/passwd", "/data/packmule/archives/../packmule.db", "/data/packmule"]
    )
    def test_nothing_outside_is_ever_deleted(self, fs: FakeFilesystem, target: str) -> None:
        fs.create_file("/etc/passwd")
        fs.create_file("/data/packmule/packmule.db")
        fs.create_dir("/data/packmule/archives")
        for kind in (RemovalKind.ARCHIVE, RemovalKind.WORK_DIRECTORY):
            (result,) = carried_out([Removal(kind, target, "x")], tools(MemoryRecords()))
            assert "left alone" in (result.error or "")
        assert Path(target).exists()
        assert Path("/etc/passwd").exists()

    def test_a_link_in_place_of_a_work_directory_is_removed_not_followed(self, fs: FakeFilesystem) -> None:
        fs.create_file("/srv/mine/x")
        fs.create_dir(HOME.jobs)
        fs.create_symlink(HOME.jobs / "7", "/srv/mine")
        removals = plan_cleanup([], NOW, Policy(), look_around(HOME, frozenset()))
        assert [r.error for r in carried_out(removals, tools(MemoryRecords()))] == [None]
        assert Path("/srv/mine/x").exists()
        assert list(HOME.jobs.iterdir()) == []


class TestTimeTravel:
    """A real store and real files: a job made now is looked at later."""

    @pytest.fixture(autouse=True)
    def _world(self, tmp_path: Path) -> None:
        self.now = NOW
        self.home = Home(tmp_path)
        self.store = JobStore(self.home.store, clock=lambda: self.now)
        self.abandoned: list[int] = []
        self.me = current_owner()

    def make(self, end: str, project: str = "group/project") -> int:
        """A job with a work directory (and, when it is finished, an archive in the store)."""
        job = self.store.create(JobRequest(project, "embedded", strategy=StrategyChoice("notification")))
        self.store.claim(job.id, self.me)
        work = self.home.job(job.id).segments
        work.mkdir(parents=True)
        (work / "issues.0.0").write_bytes(b"x" * 100)
        if end == "finished":
            path = self.home.archive(job.id, "a.tar.gz")
            path.parent.mkdir(parents=True)
            path.write_bytes(b"y" * 50)
            self.store.finish(job.id, self.me, ArchiveInfo(str(path), 50, "ab"), {}, in_store=True)
        elif end == "failed":
            self.store.save_checkpoint(job.id, "delivery", {"upload": "u"})
            self.store.fail(job.id, self.me, ErrorInfo("X", "y"))
        elif end == "interrupted":
            self.store.release(job.id, self.me)
        return job.id

    def clean(self, **policy: Any) -> list[str]:
        facts = look_around(self.home, self.store.unfinished_deliveries())
        removals = plan_cleanup(self.store.list(), self.now, Policy(**policy), facts)
        results = carried_out(removals, tools(self.store, self.home, self.abandoned))
        assert [result.error for result in results] == [None] * len(results)
        return [f"{r.removal.kind.value} {','.join(map(str, r.removal.jobs))}" for r in results]

    def test_a_finished_job_over_the_days(self) -> None:
        job_id = self.make("finished")
        assert self.clean() == [f"work directory {job_id}"]
        self.now += timedelta(hours=23)
        assert self.clean() == []
        assert self.home.archive(job_id, "a.tar.gz").exists()
        self.now += timedelta(hours=2)
        assert self.clean() == [f"archive {job_id}"]
        assert files(self.home.archives) == set()
        assert self.store.get(job_id).archive is None
        self.now += timedelta(days=6)
        assert self.clean() == [f"job {job_id}"]
        assert self.store.list() == []

    def test_an_interrupted_job_over_the_days(self) -> None:
        job_id = self.make("interrupted")
        self.now += timedelta(hours=23)
        assert self.clean() == []
        self.now += timedelta(hours=2)
        assert self.clean() == [f"expired job {job_id}", f"work directory {job_id}"]
        job = self.store.get(job_id)
        assert (job.status, job.error and job.error.kind) == (JobStatus.FAILED, "Expired")
        assert list(self.home.jobs.iterdir()) == []
        assert self.store.claim(job_id, self.me).status is JobStatus.STARTED

    def test_a_failed_job_over_the_days(self) -> None:
        job_id = self.make("failed")
        assert self.clean() == []
        self.now += timedelta(hours=25)
        assert self.clean() == [f"upload {job_id}", f"work directory {job_id}"]
        assert self.abandoned == [job_id]
        self.store.save_checkpoint(job_id, "delivery", {})
        assert self.clean() == []
        assert self.store.get(job_id).error == ErrorInfo("X", "y")

    def test_a_running_job_is_never_touched(self) -> None:
        job_id = self.make("started")
        self.now += timedelta(days=90)
        assert self.clean(everything=True) == []
        assert len(files(self.home.jobs)) == 1
        assert self.store.get(job_id).status is JobStatus.STARTED

    def test_a_reused_archive_goes_with_the_last_job_that_refers_to_it(self) -> None:
        first = self.make("finished")
        archive = self.store.get(first).archive
        self.now += timedelta(hours=20)
        second = self.make("interrupted")
        self.store.claim(second, self.me)
        self.store.finish(second, self.me, archive, {}, in_store=True, reused_from=first)
        self.now += timedelta(hours=10)
        assert [line for line in self.clean() if "archive" in line] == []
        self.now += timedelta(hours=20)
        assert self.clean() == [f"archive {first},{second}"]

    def test_a_job_that_is_resumed_after_the_plan_is_left_alone(self) -> None:
        job_id = self.make("interrupted")
        self.now += timedelta(days=2)
        facts = look_around(self.home, frozenset())
        removals = plan_cleanup(self.store.list(), self.now, Policy(), facts)
        self.store.claim(job_id, self.me)
        results = carried_out(removals, tools(self.store, self.home))
        assert all("is being run" in (result.error or "") for result in results)
        assert len(results) == 2
        assert len(files(self.home.jobs)) == 1

    def test_two_clean_ups_at_once_agree(self) -> None:
        for _ in range(5):
            self.make("finished")
        self.now += timedelta(days=9)
        facts = look_around(self.home, frozenset())
        removals = plan_cleanup(self.store.list(), self.now, Policy(), facts)
        results: list[Result] = []
        other = JobStore(self.home.store, clock=lambda: self.now)
        threads = [
            threading.Thread(target=lambda s=s: results.extend(carried_out(removals, tools(s, self.home))))
            for s in (self.store, other)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [result.error for result in results if result.error] == []
        assert self.store.list() == []
        of_the_store = {"packmule.db", "packmule.db-wal", "packmule.db-shm", "packmule.db-reserve"}
        assert files(self.home.root) - of_the_store == set()
