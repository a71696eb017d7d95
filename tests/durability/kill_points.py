"""Places in an export at which a process kills itself: the harness names one, the product knows of none.

``DURABILITY_KILL=<point>:<n>`` kills with SIGKILL when the point is reached for the n-th time;
``DURABILITY_KILL=after:<seconds>`` so long after the job was claimed. SIGKILL cannot be caught: nothing is
tidied up. ``DURABILITY_HOW`` names another signal (``TERM``, ``INT``), or ``hold``: then the process makes
the file ``held`` in the directory ``DURABILITY_CONTROL`` and waits there until it finds a file ``go``.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from export_core import archive, atomic, deferred_record, exporter, heartbeat, segment, store, workers

PHASES = ("planning", "exporting", "archiving", "delivering")
POINTS: tuple[tuple[str, int], ...] = (
    ("claimed", 1),
    *((f"phase-{phase}", 1) for phase in PHASES),
    ("planned", 1),
    ("snapshot", 1),
    ("begun", 24),
    ("chunk", 6),
    ("closed", 24),
    ("segment", 24),
    ("finished", 24),
    ("fingerprint", 1),
    ("appended", 30),
    ("uncheckpointed", 5),
    ("checkpoint", 5),
    ("freed", 20),
    ("part-in-archive", 1),
    ("made", 1),
    ("archived", 1),
    ("to-be-moved", 1),
    ("linked", 1),
    ("copying", 2),
    ("replaced", 1),
    ("delivered", 1),
    ("stored", 1),
)
"""Names, and how often each is reached in a run of the harness, roughly."""


class Killer:
    """Counts how often the wanted point was reached."""

    def __init__(self, wanted: str) -> None:
        self.point, _, number = wanted.partition(":")
        self.number = float(number or 1)
        self._lock = threading.Lock()

    def reached(self, point: str) -> None:
        """Kill this process if this was it."""
        if point == "claimed" and self.point == "after":
            threading.Thread(target=self._later, daemon=True).start()
        if point != self.point:
            return
        with self._lock:
            self.number -= 1
            if self.number <= 0:
                strike()

    def _later(self) -> None:
        time.sleep(self.number)
        strike()


def strike() -> None:
    """Kill, stop or hold this process. A signal is sent once, a hold happens once."""
    how, os.environ["DURABILITY_HOW"] = os.environ.get("DURABILITY_HOW", "KILL"), "nothing"
    if how == "hold":
        _hold(Path(os.environ["DURABILITY_CONTROL"]))
    elif how != "nothing":
        os.kill(os.getpid(), getattr(signal, f"SIG{how}"))


def _hold(control: Path) -> None:
    (control / "held").touch()
    while not (control / "go").exists():
        time.sleep(0.01)


def install() -> None:
    """Make the points known, in this process."""
    killer = Killer(os.environ.get("DURABILITY_KILL", ""))
    jobs = store.JobStore
    heartbeat.INTERVAL = 0.1  # what other terminals ask is heard at once
    for method, point in (
        ("claim", "claimed"),
        ("save_plan", "planned"),
        ("add_snapshot", "snapshot"),
        ("start_part", "begun"),
        ("finish_part", "finished"),
        ("set_fingerprint", "fingerprint"),
        ("finish", "stored"),
    ):
        after(jobs, method, killer, point)
    before(jobs, "finish", killer, "delivered")
    after(jobs, "start_part", killer, lambda _self, _job, relation, *_: f"begun-{relation}")
    after(jobs, "set_phase", killer, lambda _self, _job, phase: f"phase-{phase}")
    before(jobs, "save_checkpoint", killer, lambda _self, _job, name, _value: f"un{_checkpoint(name)}")
    after(jobs, "save_checkpoint", killer, lambda _self, _job, name, _value: _checkpoint(name))
    after(segment.SegmentWriter, "close", killer, "closed")
    after(workers, "seal_segment", killer, "segment")
    after(segment.SegmentWriter, "_end_chunk", killer, "chunk")
    after(archive._Writer, "_write", killer, "appended")
    after(archive, "_free", killer, "freed")
    before(deferred_record.PartsInArchive, "done", killer, "part-in-archive")
    after(exporter, "write_archive", killer, "made")
    before(atomic, "move_file", killer, "to-be-moved")
    after(atomic, "_kernel_copy", killer, "copying")
    after(Path, "hardlink_to", killer, "linked")
    after(Path, "replace", killer, "replaced")


def _checkpoint(name: str) -> str:
    return {"archive": "checkpoint", "archived": "archived"}.get(name, f"checkpoint-{name}")


Point = str | Callable[..., str]


def after(owner: Any, name: str, killer: Killer, point: Point) -> None:
    """Reach a point whenever a function has returned."""
    original = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        killer.reached(point if isinstance(point, str) else point(*args))
        return result

    setattr(owner, name, wrapped)


def before(owner: Any, name: str, killer: Killer, point: Point) -> None:
    """Reach a point whenever a function is called."""
    original = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        killer.reached(point if isinstance(point, str) else point(*args))
        return original(*args, **kwargs)

    setattr(owner, name, wrapped)
