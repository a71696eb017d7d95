"""The story of an export, from a queued job to a delivered archive.

    claim -> check the destination -> freeze a snapshot, plan -> export parts in worker threads
    -> join the archive -> deliver -> finish, tell

Each step records what it has done before the next begins, so that whatever ends the process, the next run
goes on from there. Nothing is skipped: a part that cannot be read fails the job.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, BinaryIO

from export_core.archive import ArchiveTools, write_archive
from export_core.archive_stream import FileArchive, SegmentArchive
from export_core.assembly import ArchiveRequest, Segments
from export_core.delivery import Archive, Delivery, DeliveryContext, Strategy
from export_core.errors import Cancelled, ExportFailed, Interrupted, PackmuleError
from export_core.estimate import estimate
from export_core.events import JobEnded, JobStarted, Listener, PhaseStarted, WarningRaised
from export_core.gitlab.layout import archive_file_name
from export_core.heartbeat import heartbeat
from export_core.job import ArchiveInfo, ErrorInfo, Job, JobRequest, Owner, Phase, StrategyChoice
from export_core.ownership import current_owner
from export_core.parts_run import PartsRun
from export_core.progress_record import JobCheckpoint, archive_request, fingerprint_of
from export_core.quantities import human_bytes
from export_core.source import Plan, Source
from export_core.stop import Stop, StopReason, error_for
from export_core.store import JobStore
from export_core.worker_pool import WorkerPool, worker_pool
from export_core.workspace import Home

Notify = Callable[[Job], list[str]]
"""Tells the job's receivers that it ended; returns warnings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporter:
    """Runs jobs. Holds nothing but its collaborators."""

    store: JobStore
    home: Home
    source_for: Callable[[JobRequest], Source]
    strategy_for: Callable[[StrategyChoice], Strategy]
    listener: Listener
    stop: Stop
    notify: Notify
    pool: WorkerPool | None = None
    """Worker threads shared with other jobs; None: threads of the job's own."""

    def run(self, job_id: int, *, restart: bool = False) -> Job:
        """Bring a job to its end, or as far as it gets. Raises PackmuleError after recording it."""
        return replace(self, stop=Stop(self.stop))._run(job_id, restart=restart)

    def _run(self, job_id: int, *, restart: bool) -> Job:
        owner = current_owner()
        job = self.store.claim(job_id, owner, restart=restart)
        with heartbeat(self.store, job_id, owner, self.stop):
            try:
                if restart:
                    job = self._start_over(job)
                self._work(job, owner)
            except Cancelled:
                self._stopped(job, owner, StopReason.CANCEL)
                raise
            except (Interrupted, KeyboardInterrupt, SystemExit):
                self._stopped(job, owner, StopReason.INTERRUPT)
                raise
            except Exception as exc:
                if self.stop.reason is None:
                    self._failed(job, owner, exc)
                    raise
                # What fails after a stop was asked for fails because of it: git hears the same Ctrl-C.
                self._stopped(job, owner, self.stop.reason)
                raise error_for(self.stop.reason) from exc
        return self._tell(job_id)

    def _work(self, job: Job, owner: Owner) -> None:
        planned = self.store.load_plan(job.id) is not None
        self.listener(JobStarted(job.id, job.project, resumed=planned))
        strategy = self.strategy_for(job.request.strategy)
        if not self.store.load_checkpoint(job.id, "delivery"):
            strategy.check(job, None)
        source = self.source_for(job.request)
        with source.session():
            if self._make(job, source, strategy, owner):
                return
        self._finish(job, owner, strategy)

    def _make(self, job: Job, source: Source, strategy: Strategy, owner: Owner) -> bool:
        """Make the archive, unless an equal one is there already; True when the job ended with that."""
        if self._is_made(job):
            return False
        with self._workers(job) as pool:
            workspace = self.home.job(job.id)
            run = PartsRun(
                self.store, job, source, workspace=workspace, listener=self.listener, stop=self.stop
            )
            with run.planned(self._phase) as plan:
                self.stop.check()
                self._check_room(job, strategy, estimate(plan.parts, pool.count).archive_bytes)
                segments = run.export(plan, pool, stage_files=not strategy.wants_file)
            fingerprint = run.fingerprint or fingerprint_of(plan, segments)
            self.store.set_fingerprint(job.id, fingerprint)
            if self._reused(job, owner, strategy, fingerprint):
                return True
            self._phase(job, Phase.ARCHIVING)
            request = archive_request(self.store, job, plan, workspace)
            if strategy.wants_file:
                info = self._write_archive(job, run, request, segments, pool.count)
            else:
                stream = SegmentArchive(request, segments, file_name="")
                stream.measure(self.stop.check)
                info = ArchiveInfo(None, stream.size, stream.sha256)
            self._archived(job, info)
        return False

    def _write_archive(
        self, job: Job, run: PartsRun, request: ArchiveRequest, segments: Segments, workers: int
    ) -> ArchiveInfo:
        record, checkpoint = run.record(), JobCheckpoint(self.store, job.id, "archive")
        # Threads of its own: those for parts may be busy for hours with another job's.
        with ThreadPoolExecutor(workers, thread_name_prefix="archive") as executor:
            tools = ArchiveTools(
                executor, run.reader, workers, checkpoint, self.listener, self.stop.check, record
            )
            info = write_archive(request, segments, tools)
        record.done_unseen(request.plan, run.reader, request.mtime)
        return info

    def _workers(self, job: Job) -> AbstractContextManager[WorkerPool]:
        return nullcontext(self.pool) if self.pool else worker_pool(job.request.workers)

    def _check_room(self, job: Job, strategy: Strategy, expected: int) -> None:
        """Refuse before the work what will not fit, here or at the destination. Only for a fresh start."""
        if self.store.finished_parts(job.id):
            return
        strategy.check(job, expected)
        free = shutil.disk_usage(self.home.root).free
        if free < expected:
            wanted, left = human_bytes(expected), human_bytes(free)
            raise ExportFailed(
                f"the archive takes about {wanted}, {self.home.root} has {left} left",
                hint="make room, or set PACKMULE_HOME to a larger disk",
            )

    def _is_made(self, job: Job) -> bool:
        """Whether an earlier run made the archive and it still is what it was, or was being delivered."""
        made = self.store.load_checkpoint(job.id, "archived")
        if not made or self._is_whole(job, made):
            return bool(made)
        gone = made["path"] is not None and not self.home.job(job.id).archive.exists()
        if gone and self.store.load_checkpoint(job.id, "delivery"):
            return True  # moved away: the strategy knows where to look
        self._abandon(job)
        for name in ("archived", "delivery"):
            self.store.save_checkpoint(job.id, name, {})
        return False

    def _is_whole(self, job: Job, made: Mapping[str, Any]) -> bool:
        try:
            archive = self._archive(job)
            with archive.open() as stream:
                return _digest(stream, self.stop.check) == (made["size"], made["sha256"])
        except (OSError, ExportFailed):
            self.stop.check()
            return False

    def _archived(self, job: Job, archive: ArchiveInfo) -> None:
        value = {"path": archive.path, "size": archive.size, "sha256": archive.sha256}
        self.store.save_checkpoint(job.id, "archived", value)

    def _reused(self, job: Job, owner: Owner, strategy: Strategy, fingerprint: str) -> bool:
        """End the job with an equal earlier export, if what that one delivered is still there."""
        if not job.request.reuse:
            return False
        warnings = self.store.get(job.id).warnings
        for earlier in self.store.find_reusable(job, fingerprint):
            if earlier.warnings == warnings and _same_place(earlier, job) and _is_there(strategy, earlier):
                with suppress(ExportFailed):
                    self.store.finish(
                        job.id,
                        owner,
                        earlier.archive,
                        earlier.delivery,
                        in_store=earlier.in_store,
                        reused_from=earlier.reused_from or earlier.id,
                    )
                    self._remove_work(job)
                    return True
        return False

    def _finish(self, job: Job, owner: Owner, strategy: Strategy) -> None:
        self._phase(job, Phase.DELIVERING)
        archive = self._archive(job)
        context = DeliveryContext(
            job, JobCheckpoint(self.store, job.id, "delivery"), self.listener, self.stop.check
        )
        delivery = strategy.deliver(archive, context)
        for warning in delivery.warnings:
            self._warn(job, warning)
        info = ArchiveInfo(delivery.local_path, archive.size, archive.sha256)
        self.store.finish(job.id, owner, info, _told(delivery), in_store=delivery.in_store)
        self._remove_work(job)

    def _archive(self, job: Job) -> Archive:
        made = self.store.load_checkpoint(job.id, "archived")
        workspace = self.home.job(job.id)
        # The job's creation, not its members' time: it tells two exports of one minute apart.
        name = archive_file_name(job.project.strip("/") or "root", datetime.fromisoformat(job.created_at))
        if made["path"] is not None:
            return FileArchive(workspace.archive, made["size"], made["sha256"], name)
        segments = self._segments(job)
        request = archive_request(self.store, job, self._plan(job), workspace)
        return SegmentArchive(request, segments, file_name=name, sha256=made["sha256"])

    def _plan(self, job: Job) -> Plan:
        plan = self.store.load_plan(job.id)
        if plan is None:
            raise ExportFailed(f"job {job.id} has lost its plan", hint=f"packmule resume {job.id} --restart")
        return plan

    def _segments(self, job: Job) -> Segments:
        return PartsRun.finished(self.store, job.id)

    def _phase(self, job: Job, phase: Phase) -> None:
        self.stop.check()
        self.store.set_phase(job.id, phase)
        self.listener(PhaseStarted(job.id, phase))

    def _warn(self, job: Job, message: str) -> None:
        self.store.add_warning(job.id, message)
        self.listener(WarningRaised(job.id, message))

    def _start_over(self, job: Job) -> Job:
        """Forget what earlier runs did, at the destination too."""
        self._abandon(job)
        self.store.reset(job.id)
        self._remove_work(job)
        return self.store.get(job.id)

    def _stopped(self, job: Job, owner: Owner, reason: StopReason) -> None:
        if reason is StopReason.CANCEL:
            self._cancelled(job, owner)
        else:
            self._let_go(job, owner)

    def _cancelled(self, job: Job, owner: Owner) -> None:
        self._abandon(job)
        self._remove_work(job)
        self.store.cancelled(job.id, owner)
        self.listener(JobEnded(job.id, "cancelled"))

    def _let_go(self, job: Job, owner: Owner) -> None:
        with suppress(PackmuleError):
            self.store.release(job.id, owner)
        self.listener(JobEnded(job.id, "interrupted"))

    def _failed(self, job: Job, owner: Owner, exc: Exception) -> None:
        if isinstance(exc, PackmuleError):
            error = ErrorInfo(exc.kind, exc.message, exc.hint)
        else:
            error = ErrorInfo("UnexpectedFault", f"{type(exc).__name__}: {exc}", "run again with --debug")
        with suppress(PackmuleError):  # a full disk that takes no row either must not hide the first error
            self.store.fail(job.id, owner, error)
            self._tell(job.id)

    def _tell(self, job_id: int) -> Job:
        job = self.store.get(job_id)
        for warning in self.notify(job):
            self._warn(job, warning)
        self.listener(JobEnded(job_id, job.status))
        return self.store.get(job_id)

    def _abandon(self, job: Job) -> None:
        """Remove what an unfinished delivery left; a destination that does not answer is only told."""
        try:
            strategy = self.strategy_for(job.request.strategy)
            strategy.abandon(job, JobCheckpoint(self.store, job.id, "delivery"))
        except PackmuleError as exc:
            self._warn(job, f"what was delivered so far could not be removed: {exc.message}")

    def _remove_work(self, job: Job) -> None:
        shutil.rmtree(self.home.job(job.id).root, ignore_errors=True)


def _told(delivery: Delivery) -> Mapping[str, Any]:
    return {"destination": delivery.destination, **delivery.details}


def _same_place(earlier: Job, job: Job) -> bool:
    """Whether both were to go to the same place; what merely says how (``--force``) does not count."""
    mine, theirs = job.request.strategy, earlier.request.strategy
    return (mine.destination, mine.options.get("to")) == (theirs.destination, theirs.options.get("to"))


def _is_there(strategy: Strategy, earlier: Job) -> bool:
    """Whether an earlier delivery still is there; a destination that cannot be asked counts as no."""
    try:
        return strategy.still_there(earlier)
    except PackmuleError:
        return False


def _digest(stream: BinaryIO, check_stop: Callable[[], None]) -> tuple[int, str]:
    """Length and digest of a stream."""
    digest, size = hashlib.sha256(), 0
    while block := stream.read(1 << 20):
        check_stop()
        digest.update(block)
        size += len(block)
    return size, digest.hexdigest()
