from __future__ import annotations

import json
import os
import sqlite3
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from export_core import store_database
from export_core.errors import JobConflict, NotFound, StoreUnusable
from export_core.job import (
    ArchiveInfo,
    ErrorInfo,
    JobRequest,
    JobStatus,
    Owner,
    PartStatus,
    Phase,
    SnapshotInfo,
    StrategyChoice,
)
from export_core.ownership import current_owner
from export_core.source import Part, Plan
from export_core.store import JobStore

ME = current_owner()
GONE = Owner(ME.host, ME.pid, ME.process_started + 1)
"""A process that had our number before us."""
T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
SNAPSHOT = SnapshotInfo(0, "00000003-1", "2026-01-01T12:00:00.000Z", {"server": "18.0"})
PLAN = Plan(
    parts=(
        Part("labels", 0, "tree/project/labels.ndjson", {"from": 1}, 10, 3),
        Part("issues", 0, "tree/project/issues.ndjson", {}, 90, 5),
        Part("issues", 1, "tree/project/issues.ndjson", {}, 80, 5),
        Part("uploads", 0, None, {"files": ["a", "ü"]}, 7, deferred=True),
    ),
    directories=("tree", "tree/project"),
    warnings=("notes has no column internal",),
    relations=("labels", "issues", "uploads", "avatar"),
)


class Clock:
    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> None:
        self.now += timedelta(**span)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> JobStore:
    return JobStore(tmp_path / "home" / "packmule.db", clock=clock)


def request(project: str = "group/project", **more: object) -> JobRequest:
    return JobRequest(project, "embedded", **more)  # type: ignore[arg-type]


def started(store: JobStore, owner: Owner = ME) -> int:
    job = store.create(request())
    store.claim(job.id, owner)
    store.save_plan(job.id, PLAN, SNAPSHOT)
    return job.id


def finish_part(store: JobStore, job_id: int, relation: str, number: int, **more: int) -> None:
    values = {"snapshot_number": 0, "lines": 5, "bytes": 100, **more}
    store.finish_part(job_id, relation, number, {"sha256": "ab"}, seconds=1.5, **values)


def column(store: JobStore, name: str, where: str = "1") -> list[object]:
    with sqlite3.connect(store._database.path) as db:
        return [row[0] for row in db.execute(f"SELECT {name} FROM {where}")]


class TestJob:
    def test_keeps_everything_that_was_asked_for(self, store: JobStore) -> None:
        asked = JobRequest(
            project="group/sub/project",
            source="postgresql://gitlab@db/gitlabhq",
            source_options={"url": "postgresql://gitlab:secret@db/gitlabhq", "kind": "gitlab-db"},
            strategy=StrategyChoice(
                "web-upload", "s3://bucket/key", {"to": "s3://bucket/key", "nested": [1]}
            ),
            only=("issues", "labels"),
            workers=3,
            strict=True,
            notify=("json://token@host",),
            export_options={"as_user": "root"},
        )
        job = store.create(asked)
        assert store.get(job.id).request == asked
        assert (job.status, job.created_at) == (JobStatus.QUEUED, "2026-01-01T12:00:00.000Z")

    def test_unknown_options_of_a_newer_version_are_passed_over(self, store: JobStore) -> None:
        job = store.create(request())
        with sqlite3.connect(store._database.path) as db:
            stored = json.loads(db.execute("SELECT request FROM jobs").fetchone()[0])
            db.execute("UPDATE jobs SET request = ?", (json.dumps({**stored, "of_tomorrow": 1}),))
        assert store.get(job.id).request == job.request

    def test_an_unknown_job_is_not_found(self, store: JobStore) -> None:
        with pytest.raises(NotFound) as caught:
            store.get(12)
        assert "12" in caught.value.message
        assert "packmule list" in (caught.value.hint or "")

    def test_list_is_newest_first_and_filters(self, store: JobStore) -> None:
        first, second = store.create(request("a/b")), store.create(request("c/d"))
        third = store.create(request("a/b"))
        store.cancel(third.id)
        assert [job.id for job in store.list()] == [third.id, second.id, first.id]
        assert [job.id for job in store.list(project="a/b", status=JobStatus.QUEUED)] == [first.id]
        assert store.list(source="other") == []

    def test_a_list_may_leave_out_what_takes_long_to_add_up(self, store: JobStore) -> None:
        job_id = started(store)
        whole = store.get(job_id)
        assert whole.relations
        assert whole.snapshots
        assert whole.warnings
        without = replace(whole, relations=(), snapshots=(), warnings=())
        assert store.list(whole=False) == [without]

    def test_a_whole_life(self, store: JobStore, clock: Clock) -> None:
        job_id = started(store)
        store.set_phase(job_id, Phase.DELIVERING)
        store.set_fingerprint(job_id, "f1")
        clock.forward(seconds=90)
        archive = ArchiveInfo("/home/archives/1/a.tar.gz", 4711, "cd" * 32)
        store.finish(job_id, ME, archive, {"destination": "/home/archives/1/a.tar.gz"}, in_store=True)
        job = store.get(job_id)
        assert (job.status, job.phase, job.owner) == (JobStatus.FINISHED, None, None)
        assert (job.started_at, job.finished_at) == ("2026-01-01T12:00:00.000Z", "2026-01-01T12:01:30.000Z")
        assert (job.archive, job.in_store, job.fingerprint) == (archive, True, "f1")
        assert job.delivery == {"destination": "/home/archives/1/a.tar.gz"}
        assert job.warnings == PLAN.warnings
        assert job.snapshots == (SNAPSHOT,)

    def test_a_finished_job_keeps_its_relations_and_not_what_was_to_be_read(self, store: JobStore) -> None:
        """Ids and file names of a large project are megabytes, for every export of it."""
        job_id = started(store)
        store.start_part(job_id, "labels", 0, 0)
        finish_part(store, job_id, "labels", 0)
        before = store.get(job_id)
        store.finish(job_id, ME, None, {}, in_store=False)
        assert store.get(job_id).relations == before.relations
        plan = store.load_plan(job_id)
        assert plan is not None
        assert not any(part.payload for part in plan.parts)

    def test_a_failure_is_kept_until_the_next_run(self, store: JobStore) -> None:
        job_id = started(store)
        store.fail(job_id, ME, ErrorInfo("RelationFailed", "no table", "see doctor"))
        job = store.get(job_id)
        assert (job.status, job.failures) == (JobStatus.FAILED, 1)
        assert job.error == ErrorInfo("RelationFailed", "no table", "see doctor")
        job = store.claim(job_id, ME)
        assert (job.error, job.attempts, job.finished_at) == (None, 2, None)

    def test_the_start_of_a_job_stays_when_it_is_resumed(self, store: JobStore, clock: Clock) -> None:
        job_id = started(store)
        store.release(job_id, ME)
        clock.forward(hours=1)
        assert store.claim(job_id, ME).started_at == "2026-01-01T12:00:00.000Z"

    def test_a_warning_is_kept_once(self, store: JobStore) -> None:
        job_id = started(store)
        for text in ("mixed", "mixed", PLAN.warnings[0]):
            store.add_warning(job_id, text)
        assert store.get(job_id).warnings == (PLAN.warnings[0], "mixed")

    def test_reset_forgets_all_that_was_done(self, store: JobStore, clock: Clock) -> None:
        job_id = started(store)
        store.start_part(job_id, "labels", 0, 0)
        finish_part(store, job_id, "labels", 0)
        store.save_checkpoint(job_id, "archive", {"offset": 7})
        store.set_fingerprint(job_id, "f1")
        store.fail(job_id, ME, ErrorInfo("X", "y"))
        clock.forward(hours=1)
        store.claim(job_id, ME)
        store.reset(job_id)
        job = store.get(job_id)
        assert (job.relations, job.snapshots, job.warnings, job.fingerprint) == ((), (), (), None)
        assert (job.error, job.failures, job.started_at) == (None, 0, "2026-01-01T13:00:00.000Z")
        assert store.load_plan(job_id) is None
        assert store.load_checkpoint(job_id, "archive") == {}

    def test_reset_refuses_a_finished_job(self, store: JobStore) -> None:
        job_id = started(store)
        store.finish(job_id, ME, None, {}, in_store=False)
        with pytest.raises(JobConflict):
            store.reset(job_id)

    def test_delete_takes_all_rows_and_never_gives_the_number_again(self, store: JobStore) -> None:
        job_id = started(store)
        store.save_checkpoint(job_id, "delivery", {"upload": "1"})
        with pytest.raises(JobConflict):
            store.delete(job_id)
        store.cancelled(job_id, ME)
        store.delete(job_id)
        for table in ("parts", "snapshots", "warnings", "checkpoints", "jobs"):
            assert column(store, "count(*)", table) == [0], table
        assert store.create(request()).id > job_id


class TestOwnership:
    def test_a_living_owner_keeps_others_away(self, store: JobStore) -> None:
        job_id = started(store)
        with pytest.raises(JobConflict) as caught:
            store.claim(job_id, Owner("elsewhere", 1, 1.0))
        assert f"process {ME.pid} on {ME.host}" in caught.value.message
        for refused in (store.cancel, store.requeue, store.delete):
            with pytest.raises(JobConflict):
                refused(job_id)

    def test_a_job_whose_owner_is_gone_is_interrupted_and_can_be_claimed(self, store: JobStore) -> None:
        job_id = started(store, GONE)
        assert store.get(job_id).status is JobStatus.INTERRUPTED
        assert [job.id for job in store.list(status=JobStatus.INTERRUPTED)] == [job_id]
        assert store.list(status=JobStatus.STARTED) == []
        assert store.claim(job_id, ME).status is JobStatus.STARTED

    def test_an_owner_elsewhere_is_gone_after_five_minutes_without_heartbeat(
        self, store: JobStore, clock: Clock
    ) -> None:
        elsewhere = Owner("elsewhere", 1, 1.0)
        job_id = started(store, elsewhere)
        clock.forward(minutes=4)
        store.heartbeat(job_id, elsewhere)
        clock.forward(minutes=5)
        assert store.get(job_id).status is JobStatus.STARTED
        clock.forward(seconds=1)
        assert store.get(job_id).status is JobStatus.INTERRUPTED
        store.claim(job_id, ME)
        with pytest.raises(JobConflict):
            store.heartbeat(job_id, elsewhere)
        with pytest.raises(JobConflict):
            store.finish(job_id, elsewhere, None, {}, in_store=False)
        assert store.get(job_id).status is JobStatus.STARTED

    def test_release_interrupts_at_once(self, store: JobStore) -> None:
        job_id = started(store)
        store.release(job_id, ME)
        assert store.get(job_id).status is JobStatus.INTERRUPTED
        with pytest.raises(JobConflict):
            store.heartbeat(job_id, ME)

    def test_a_request_reaches_the_owner_and_ends_with_the_run(self, store: JobStore) -> None:
        job_id = started(store)
        assert store.heartbeat(job_id, ME) is None
        store.request(job_id, "cancel")
        assert store.heartbeat(job_id, ME) == "cancel"
        store.release(job_id, ME)
        with pytest.raises(JobConflict):
            store.request(job_id, "cancel")
        store.claim(job_id, ME)
        assert store.heartbeat(job_id, ME) is None

    @pytest.mark.parametrize("restart", [False, True])
    def test_a_cancelled_job_only_starts_over(self, store: JobStore, restart: bool) -> None:
        job_id = started(store)
        store.cancelled(job_id, ME)
        if restart:
            assert store.claim(job_id, ME, restart=True).status is JobStatus.STARTED
            return
        with pytest.raises(JobConflict) as caught:
            store.claim(job_id, ME)
        assert "--restart" in (caught.value.hint or "")

    def test_a_finished_job_takes_no_other_state(self, store: JobStore) -> None:
        job_id = started(store)
        store.finish(job_id, ME, None, {}, in_store=False)
        for refused in (store.cancel, store.requeue, lambda job: store.claim(job, ME, restart=True)):
            with pytest.raises(JobConflict):
                refused(job_id)
        with pytest.raises(JobConflict):
            store.fail(job_id, ME, ErrorInfo("X", "y"))
        assert store.get(job_id).failures == 0

    def test_requeue_by_its_owner(self, store: JobStore) -> None:
        job_id = started(store)
        store.requeue(job_id, ME)
        assert (store.get(job_id).status, store.get(job_id).owner) == (JobStatus.QUEUED, None)


class TestParts:
    def test_the_plan_comes_back_as_it_was(self, store: JobStore) -> None:
        assert store.load_plan(started(store)) == PLAN
        assert store.load_plan(store.create(request()).id) is None

    def test_relations_are_summed_over_their_parts(self, store: JobStore, clock: Clock) -> None:
        job_id = started(store)
        store.start_part(job_id, "issues", 0, 0)
        clock.forward(seconds=2)
        store.start_part(job_id, "issues", 1, 0)
        finish_part(store, job_id, "issues", 0, lines=5, bytes=100)
        store.add_snapshot(job_id, SnapshotInfo(1, "t", "2026-01-01T13:00:00.000Z"))
        clock.forward(seconds=3)
        labels, issues, uploads, avatar = store.get(job_id).relations
        assert [r.name for r in (labels, issues, uploads, avatar)] == list(PLAN.relations)
        assert (labels.status, avatar.status) == (PartStatus.QUEUED, PartStatus.FINISHED)
        assert (issues.status, issues.finished_at) == (PartStatus.STARTED, None)
        finish_part(store, job_id, "issues", 1, lines=4, bytes=50, snapshot_number=1)
        issues = store.get(job_id).relations[1]
        assert (issues.status, issues.parts, issues.parts_finished) == (PartStatus.FINISHED, 2, 2)
        assert (issues.lines, issues.bytes, issues.seconds) == (9, 150, 5.0)
        assert (issues.started_at, issues.finished_at) == (
            "2026-01-01T12:00:00.000Z",
            "2026-01-01T12:00:05.000Z",
        )
        assert issues.snapshots == (0, 1)

    def test_one_failed_part_fails_its_relation(self, store: JobStore) -> None:
        job_id = started(store)
        store.start_part(job_id, "issues", 0, 0)
        finish_part(store, job_id, "issues", 0)
        store.start_part(job_id, "issues", 1, 0)
        store.fail_part(job_id, "issues", 1, "boom")
        assert store.get(job_id).relations[1].status is PartStatus.FAILED

    def test_every_transition_is_guarded(self, store: JobStore) -> None:
        job_id = started(store)
        with pytest.raises(JobConflict):
            finish_part(store, job_id, "labels", 0)
        store.start_part(job_id, "labels", 0, 0)
        with pytest.raises(JobConflict):
            store.start_part(job_id, "labels", 0, 0)
        finish_part(store, job_id, "labels", 0)
        for refused in (store.start_part, store.fail_part):
            with pytest.raises(JobConflict):
                refused(job_id, "labels", 0, 0)  # type: ignore[operator]
        with pytest.raises(JobConflict):
            store.start_part(job_id, "nothing", 0, 0)

    def test_requeue_puts_back_the_unfinished_or_the_named(self, store: JobStore) -> None:
        job_id = started(store)
        for relation, number in (("labels", 0), ("issues", 0), ("issues", 1)):
            store.start_part(job_id, relation, number, 0)
        finish_part(store, job_id, "labels", 0)
        store.fail_part(job_id, "issues", 1, "boom")
        assert store.requeue_parts(job_id) == 2
        assert store.finished_parts(job_id) == {("labels", 0): {"sha256": "ab"}}
        assert store.requeue_parts(job_id, [("labels", 0)]) == 1
        assert store.finished_parts(job_id) == {}
        assert {r.status for r in store.get(job_id).relations[:3]} == {PartStatus.QUEUED}

    def test_how_often_a_part_was_finished_is_counted(self, store: JobStore) -> None:
        job_id = started(store)
        for _ in range(2):
            store.start_part(job_id, "labels", 0, 0)
            finish_part(store, job_id, "labels", 0)
            store.requeue_parts(job_id, [("labels", 0)])
        assert column(store, "times_finished", "parts ORDER BY position") == [2, 0, 0, 0]

    def test_update_keeps_the_place_in_the_plan(self, store: JobStore) -> None:
        job_id = started(store)
        changed = Part("issues", 0, "tree/project/issues.ndjson", {"x": 1}, 91, 6)
        store.update_part(job_id, changed)
        plan = store.load_plan(job_id)
        assert plan is not None
        assert plan.parts == (PLAN.parts[0], changed, *PLAN.parts[2:])
        with pytest.raises(JobConflict):
            store.update_part(job_id, Part("nothing", 0, None))

    def test_checkpoints(self, store: JobStore) -> None:
        job_id = started(store)
        assert store.load_checkpoint(job_id, "delivery") == {}
        store.save_checkpoint(job_id, "delivery", {"upload": "u1", "parts": [1, 2]})
        store.save_checkpoint(job_id, "archive", {"offset": 1})
        assert store.load_checkpoint(job_id, "delivery") == {"upload": "u1", "parts": [1, 2]}
        assert store.unfinished_deliveries() == {job_id}
        store.save_checkpoint(job_id, "delivery", {})
        assert store.unfinished_deliveries() == frozenset()


class TestArchives:
    PATH = "/home/archives/1/a.tar.gz"

    def finished(self, store: JobStore, reused_from: int | None = None, project: str = "a/b") -> int:
        job = store.create(request(project))
        store.claim(job.id, ME)
        store.set_fingerprint(job.id, "f1")
        archive = ArchiveInfo(self.PATH, 1, "ab")
        store.finish(job.id, ME, archive, {}, in_store=True, reused_from=reused_from)
        return job.id

    def test_reusable_are_finished_jobs_with_the_same_content_and_an_archive(self, store: JobStore) -> None:
        first, second = self.finished(store), self.finished(store)
        self.finished(store, project="c/d")
        new = store.create(request("a/b"))
        assert [job.id for job in store.find_reusable(new, "f1")] == [second, first]
        assert store.find_reusable(new, "f2") == []
        assert store.find_reusable(store.create(request("a/b", strategy=StrategyChoice("x"))), "f1") == []
        store.remove_archive(self.PATH, [first, second, second + 1], lambda: None)
        assert store.find_reusable(new, "f1") == []

    def test_an_archive_that_another_job_took_over_meanwhile_stays(self, store: JobStore) -> None:
        first = self.finished(store)
        second = self.finished(store, reused_from=first)
        gone: list[str] = []
        with pytest.raises(JobConflict, match=f"job {second}"):
            store.remove_archive(self.PATH, [first], lambda: gone.append("x"))
        assert gone == []
        assert store.get(first).archive is not None
        store.remove_archive(self.PATH, [first, second], lambda: gone.append("x"))
        assert gone == ["x"]
        assert [store.get(job).archive for job in (first, second)] == [None, None]
        assert store.get(first).archive_removed_at == "2026-01-01T12:00:00.000Z"

    def test_what_could_not_be_removed_stays_in_the_store(self, store: JobStore) -> None:
        job_id = self.finished(store)

        def refuse() -> None:
            raise PermissionError("read-only file system")

        with pytest.raises(PermissionError):
            store.remove_archive(self.PATH, [job_id], refuse)
        assert store.get(job_id).archive is not None

    def test_a_job_cannot_finish_with_an_archive_that_was_removed_meanwhile(self, store: JobStore) -> None:
        first = self.finished(store)
        store.remove_archive(self.PATH, [first], lambda: None)
        with pytest.raises(JobConflict, match="removed"):
            self.finished(store, reused_from=first)

    def test_retire_gives_an_interrupted_job_up_but_keeps_its_delivery_checkpoint(
        self, store: JobStore, clock: Clock
    ) -> None:
        job_id = started(store, GONE)
        store.save_checkpoint(job_id, "delivery", {"upload": "u"})
        clock.forward(hours=30)
        store.retire(job_id, ErrorInfo("Expired", "too late"), lambda: None)
        job = store.get(job_id)
        assert (job.status, job.error, job.relations) == (
            JobStatus.FAILED,
            ErrorInfo("Expired", "too late"),
            (),
        )
        assert job.finished_at == "2026-01-01T12:00:00.000Z"
        assert store.load_checkpoint(job_id, "delivery") == {"upload": "u"}

    def test_retire_refuses_living_and_queued_jobs(self, store: JobStore) -> None:
        touched: list[str] = []
        for job_id in (started(store), store.create(request()).id):
            with pytest.raises(JobConflict):
                store.retire(job_id, ErrorInfo("Expired", "x"), lambda: touched.append("x"))
        assert touched == []

    def test_crash_counts_as_a_failure_and_keeps_the_parts(self, store: JobStore, clock: Clock) -> None:
        job_id = started(store, GONE)
        store.crash(job_id, ErrorInfo("Crashed", "signal 9"))
        store.schedule_retry(job_id, clock.now + timedelta(minutes=1))
        job = store.get(job_id)
        assert (job.status, job.failures, job.retry_at) == (JobStatus.FAILED, 1, "2026-01-01T12:01:00.000Z")
        assert len(job.relations) == 4
        assert store.claim(job_id, ME).retry_at is None


class TestFile:
    @pytest.mark.parametrize("umask", [0o000, 0o277])
    def test_only_its_owner_may_read_it_whatever_the_umask(self, tmp_path: Path, umask: int) -> None:
        before = os.umask(umask)
        try:
            store = JobStore(tmp_path / "home" / "packmule.db")
            store.create(request())
        finally:
            os.umask(before)
        found = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "home").iterdir()}
        assert found == dict.fromkeys(
            (f"packmule.db{end}" for end in ("", "-wal", "-shm", "-reserve")), 0o600
        )
        assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700

    def test_job_states_are_synced_and_part_marks_are_not(self, store: JobStore) -> None:
        level = "PRAGMA synchronous"
        assert store._database.write(lambda db: db.execute(level).fetchone()[0]) == 2
        assert store._database.write(lambda db: db.execute(level).fetchone()[0], durable=False) == 1
        assert store._database.read(lambda db: db.execute("PRAGMA journal_mode").fetchone()[0]) == "wal"

    def test_a_store_of_a_newer_version_is_refused(self, store: JobStore) -> None:
        store.create(request())
        store.close()
        with sqlite3.connect(store._database.path) as db:
            db.execute("PRAGMA user_version = 99")
        with pytest.raises(StoreUnusable, match="99"):
            store.list()

    def test_a_file_that_is_no_store_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "packmule.db").write_bytes(b"this is a text file\n" * 100)
        with pytest.raises(StoreUnusable, match=r"packmule\.db"):
            JobStore(tmp_path / "packmule.db").list()
        (tmp_path / "file").write_text("")
        with pytest.raises(StoreUnusable):
            JobStore(tmp_path / "file" / "packmule.db").list()

    def test_a_full_disk_is_told_and_undone(self, store: JobStore) -> None:
        job_id = started(store)
        store._database.write(lambda db: db.execute("PRAGMA max_page_count = 1"))
        with pytest.raises(StoreUnusable, match="full"):
            store.save_checkpoint(job_id, "delivery", {"x": "y" * 100_000})
        assert store.load_checkpoint(job_id, "delivery") == {}

    def test_it_waits_for_another_process_beyond_sqlites_own_patience(
        self, store: JobStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(store_database, "BUSY_TIMEOUT_SECONDS", 0.0)
        job = store.create(request())
        other = sqlite3.connect(store._database.path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(0.2, lambda: other.execute("COMMIT")).start()
        store.cancel(job.id)
        assert store.get(job.id).status is JobStatus.CANCELLED
        other.close()

    def test_its_patience_ends(self, store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(store_database, "BUSY_TIMEOUT_SECONDS", 0.0)
        monkeypatch.setattr(store_database, "RETRY_SECONDS", 0.2)
        store.create(request())
        other = sqlite3.connect(store._database.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnusable, match="locked"):
            store.create(request())
        other.close()
