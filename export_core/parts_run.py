"""Exports the parts of a job: keeps what an earlier run left, reads the rest from a new snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from export_core.archive_position import missing_parts
from export_core.assembly import Segments
from export_core.deferred_record import PartsInArchive
from export_core.errors import JobConflict, RelationFailed
from export_core.events import Listener, PartFinished, PartStarted, RelationPlanned, WarningRaised
from export_core.job import Job, Phase, SnapshotInfo
from export_core.progress_record import archive_request, member_time
from export_core.segment import Segment
from export_core.source import Part, PartKey, Plan, Reader, Selection, Snapshot, Source, cancel
from export_core.stop import Stop, interrupting, stoppable_by
from export_core.store import JobStore
from export_core.worker_pool import WorkerPool
from export_core.workers import Finished, PartWork, PartWorkers
from export_core.workspace import Workspace


class PartsRun:
    """One run over the parts of a job."""

    def __init__(
        self,
        store: JobStore,
        job: Job,
        source: Source,
        *,
        workspace: Workspace,
        listener: Listener,
        stop: Stop,
    ) -> None:
        self._store = store
        self._job = job
        self._source = source
        self._workspace = workspace
        self._listener = listener
        self._stop = stop
        self._token = ""
        self._number = 0
        self.fingerprint: str | None = None
        """What the source itself says that its content is; None: it follows from the segments."""

    @staticmethod
    def finished(store: JobStore, job_id: int) -> dict[PartKey, Segment]:
        """Recorded segments of finished parts; parts that went straight into the archive have none."""
        done = store.finished_parts(job_id)
        return {key: Segment.from_json(value) for key, value in done.items() if value}

    def reader(self) -> Reader:
        """A reader on the job's latest snapshot."""
        return self._source.reader(self._token)

    @contextmanager
    def planned(self, enter: Callable[[Job, Phase], None]) -> Iterator[Plan]:
        """The plan, made now or stored by an earlier run; holds the snapshot while parts are exported."""
        plan = self._store.load_plan(self._job.id)
        lost = self._lost(plan) if plan is not None else []
        if plan is not None and self._is_void(lost):
            self._store.forget_plan(self._job.id)
            plan = None
        snapshot: Snapshot | None = None
        try:
            if plan is None:
                enter(self._job, Phase.PLANNING)
                snapshot, plan = self._first()
            else:
                snapshot, plan = self._again(plan, lost)
            enter(self._job, Phase.EXPORTING)
            self._announce(plan)
            yield plan
        finally:
            if snapshot is not None:
                snapshot.close()

    def export(self, plan: Plan, pool: WorkerPool, *, stage_files: bool) -> Segments:
        """Export what is not finished. ``stage_files``: deferred files too, into segments."""
        segments = self.finished(self._store, self._job.id)
        todo = [
            part for part in plan.parts if part.key not in segments and (stage_files or not part.deferred)
        ]
        mtime = member_time(self._store, self._job)
        work = PartWork(self._workspace, self._job.request.compression_level, mtime, self._stop.check)
        workers = PartWorkers(pool, self.reader, self._started)
        try:
            with interrupting(self._stop, workers.interrupt):
                for done in workers.run(todo, work):
                    self._finished(done)
                    segments[done.segment.key] = done.segment
        except RelationFailed as exc:
            self._failed(exc)
            raise
        self._tell_mixture()
        return segments

    def record(self) -> PartsInArchive:
        """What is to be told of deferred parts while the archive is made."""
        return PartsInArchive(self._store, self._job.id, self._listener)

    def _first(self) -> tuple[Snapshot, Plan]:
        job = self._job
        with stoppable_by(self._stop):
            snapshot = self._source.open(job.project, self._options())
        with self._closed_on_error(snapshot):
            plan = snapshot.plan(Selection(job.request.only, job.request.skip))
            left_out = [name for name in self._source.relations() if name not in plan.relations]
            if left_out:
                note = f"left out on request: {', '.join(left_out)}"
                plan = replace(plan, warnings=(note, *plan.warnings))
            self._join(snapshot, 0)
            self._store.save_plan(job.id, plan, self._snapshot_info(snapshot))
            for warning in plan.warnings:
                self._listener(WarningRaised(job.id, warning))
        return snapshot, plan

    def _again(self, plan: Plan, lost: list[Part]) -> tuple[Snapshot | None, Plan]:
        """Go on with a stored plan; a new snapshot only when something has still to be read."""
        job = self._job
        self._store.requeue_parts(job.id)
        self._store.requeue_parts(job.id, [part.key for part in lost])
        last = job.snapshots[-1]
        self._token, self._number = last.token, last.number
        self.fingerprint = last.details.get("fingerprint")
        if not lost:
            return None, plan
        with stoppable_by(self._stop):
            snapshot = self._source.reopen(job.project, self._options(), job.snapshots[0].details)
        with self._closed_on_error(snapshot):
            self._join(snapshot, last.number + 1)
            self._store.add_snapshot(job.id, self._snapshot_info(snapshot))
            for part in lost:
                self._store.update_part(job.id, snapshot.refresh(part))
        return snapshot, self._store.load_plan(job.id) or plan

    @contextmanager
    def _closed_on_error(self, snapshot: Snapshot) -> Iterator[None]:
        """Ask a snapshot things that may take long: a stop breaks them off, an error closes it."""
        try:
            with interrupting(self._stop, lambda: cancel(snapshot)):
                yield
        except BaseException:
            snapshot.close()
            raise

    def _is_void(self, lost: list[Part]) -> bool:
        """Whether a stored plan is better made anew: nothing of it is kept, or snapshots must not be mixed.

        Only where a new snapshot sees other data: ids planned on the old one would miss what is new.
        """
        if not lost or self._source.exact_after_resume:
            return False
        gone = {part.key for part in lost}
        kept = any(key not in gone for key in self.finished(self._store, self._job.id))
        return self._job.request.strict or not kept

    def _tell_mixture(self) -> None:
        """Warn when the parts come from more than one snapshot, once they are all there."""
        job = self._store.get(self._job.id)
        used = {number for relation in job.relations for number in relation.snapshots}
        if len(used) < 2 or self._source.exact_after_resume:
            return
        first = min(used)
        later = [found.name for found in job.relations if max(found.snapshots, default=first) > first]
        shown = ", ".join(later[:8]) + (f" and {len(later) - 8} more" if len(later) > 8 else "")
        self._warn(
            f"the export was interrupted and mixes {len(used)} snapshots: {shown} came, at least in part,"
            f" from a later one than the rest; packmule show {job.id} tells which relation came from which"
        )

    def _lost(self, plan: Plan) -> list[Part]:
        """Parts that have to be read, for the first time or again."""
        request = archive_request(self._store, self._job, plan, self._workspace)
        checkpoint = self._store.load_checkpoint(self._job.id, "archive")
        return missing_parts(request, self.finished(self._store, self._job.id), checkpoint, self._stop.check)

    def _join(self, snapshot: Snapshot, number: int) -> None:
        self._token, self._number = snapshot.token, number
        self.fingerprint = snapshot.details.get("fingerprint")

    def _snapshot_info(self, snapshot: Snapshot) -> SnapshotInfo:
        return SnapshotInfo(self._number, snapshot.token, snapshot.taken_at, snapshot.details)

    def _options(self) -> dict[str, object]:
        request = self._job.request
        return {**request.export_options, "allow_missing": request.allow_missing}

    def _announce(self, plan: Plan) -> None:
        """Tell every relation's whole work, and what is done of it already."""
        done = self.finished(self._store, self._job.id)
        for relation in plan.relations:
            parts = [part for part in plan.parts if part.relation == relation]
            ready = [done[part.key] for part in parts if part.key in done]
            counts = [part.lines for part in parts if part.lines is not None]
            self._listener(
                RelationPlanned(
                    self._job.id,
                    relation,
                    len(parts),
                    sum(counts) if counts else None,
                    len(ready),
                    sum(segment.lines for segment in ready),
                )
            )

    def _started(self, part: Part) -> None:
        self._store.start_part(self._job.id, part.relation, part.number, self._number)
        self._listener(PartStarted(self._job.id, part.relation, part.number))

    def _finished(self, done: Finished) -> None:
        segment, part = done.segment, done.part
        self._store.finish_part(
            self._job.id,
            part.relation,
            part.number,
            segment.to_json(),
            snapshot_number=self._number,
            seconds=done.seconds,
            lines=segment.lines,
            bytes=segment.raw_size,
        )
        self._listener(
            PartFinished(self._job.id, part.relation, part.number, segment.lines, segment.raw_size)
        )
        for warning in segment.warnings:
            self._warn(warning)

    def _failed(self, exc: RelationFailed) -> None:
        if exc.part is not None:
            with suppress(JobConflict):
                self._store.fail_part(self._job.id, exc.relation, exc.part, exc.message)

    def _warn(self, message: str) -> None:
        self._store.add_warning(self._job.id, message)
        self._listener(WarningRaised(self._job.id, message))
