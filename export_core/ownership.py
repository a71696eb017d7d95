"""Who runs a job, and whether that process still lives.

On the owner's own host the process table answers at once. From another host only the heartbeat can tell.
"""

from __future__ import annotations

import os
import socket
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

from export_core.job import Owner

HEARTBEAT_TIMEOUT = timedelta(minutes=5)
"""Without a heartbeat for this long, an owner on another host counts as gone."""

_INITIAL_PID_NAMESPACE = "pid:[4026531836]"  # PROC_PID_INIT_INO of the Linux kernel


@lru_cache(maxsize=1)
def this_host() -> str:
    """The name under which this machine's process numbers mean something.

    Containers may share a host name and yet count processes apart; there the name carries the number of
    the pid namespace, so that one never takes the other's living process for a dead one.
    """
    name = socket.gethostname()
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return name
    return name if namespace == _INITIAL_PID_NAMESPACE else f"{name}/{namespace[5:-1]}"


def current_owner() -> Owner:
    """The process that asks."""
    pid = os.getpid()
    return Owner(this_host(), pid, process_started(pid) or 0.0)


def is_gone(owner: Owner | None, heartbeat_at: datetime | None, now: datetime) -> bool:
    """Whether nobody works on a started job any more."""
    if owner is None:
        return True
    if owner.host == this_host():
        return process_started(owner.pid) != owner.process_started
    return heartbeat_at is None or now - heartbeat_at > HEARTBEAT_TIMEOUT


def process_started(pid: int) -> float | None:
    """When a living process started, as a number to compare only; None: no such process, or a zombie.

    Linux counts from boot, which setting the clock does not change; the time of day that psutil makes of
    it does change, and a living owner would look like another process.
    """
    if Path("/proc/self/stat").exists():
        return _started_by_proc(pid)
    return _started_by_psutil(pid)


def _started_by_proc(pid: int) -> float | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # proc(5): "pid (name) state ... starttime": the name may hold spaces and brackets, so split after it.
    fields = stat.rpartition(")")[2].split()
    state, started = fields[0], fields[19]
    return None if state in "ZX" else float(started)


def _started_by_psutil(pid: int) -> float | None:
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return float(process.create_time())
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return 0.0
