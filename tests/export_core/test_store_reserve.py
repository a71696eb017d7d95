"""On a disk without any room left, a job can still be cancelled and thus its room be freed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from export_core.errors import StoreUnusable
from export_core.job import JobRequest, JobStatus, StrategyChoice
from export_core.store import JobStore

REQUEST = JobRequest(project="a/b", source="x", strategy=StrategyChoice("notification", None, {}))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a file system cannot be mounted here")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def fill(place: Path) -> None:
    with suppress(OSError), (place / "filling").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def test_a_full_disk_takes_a_last_word(disk: Path) -> None:
    store = JobStore(disk / "home" / "packmule.db")
    job = store.create(REQUEST)
    store.close()  # SQLite's own files are gone, too: only reading needs room for them now
    fill(disk)
    store = JobStore(disk / "home" / "packmule.db")
    store.cancel(job.id)
    assert store.get(job.id).status is JobStatus.CANCELLED
    store.close()
    fill(disk)
    with pytest.raises(StoreUnusable, match=r"No space|full|I/O"):  # noqa: PT012 -- some may still fit
        for _ in range(200):
            JobStore(disk / "home" / "packmule.db").create(REQUEST)
    (disk / "filling").unlink()
    JobStore(disk / "home" / "packmule.db").create(REQUEST)
    reserves = list((disk / "home").glob("*-reserve"))
    assert [(path.stat().st_mode & 0o777, path.stat().st_size > 1 << 16) for path in reserves] == [
        (0o600, True)
    ]
