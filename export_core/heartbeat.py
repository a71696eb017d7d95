"""Says every second that a job is alive, and hears what other terminals ask of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from export_core.errors import JobConflict, NotFound, PackmuleError
from export_core.job import JobStatus, Owner
from export_core.stop import Stop, StopReason
from export_core.store import JobStore

INTERVAL = 1.0
"""Seconds between two heartbeats; so a cancellation is heard within about a second."""


@contextmanager
def heartbeat(store: JobStore, job_id: int, owner: Owner, stop: Stop) -> Iterator[None]:
    """Beat until the end of the block."""
    done = threading.Event()
    thread = threading.Thread(
        target=_beat, args=(store, job_id, owner, stop, done), name=f"heartbeat-{job_id}", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _beat(store: JobStore, job_id: int, owner: Owner, stop: Stop, done: threading.Event) -> None:
    while not done.wait(INTERVAL):
        try:
            asked = store.heartbeat(job_id, owner)
        except JobConflict:
            if _has_ended(store, job_id):
                return
            # Somebody else owns the job now; what we write from here on would be in the way.
            asked = StopReason.RESTART
        except PackmuleError:
            continue
        if asked:
            stop.request(asked)


def _has_ended(store: JobStore, job_id: int) -> bool:
    """Whether there is nothing to stop any more: the beat came between the job's end and ours."""
    try:
        return store.get(job_id).status not in (JobStatus.STARTED, JobStatus.INTERRUPTED)
    except NotFound:
        return True
    except PackmuleError:
        return False
