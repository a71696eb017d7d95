"""On a disk without any room left, a job can still be cancelled and thus its room be freed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from export_core.errors import StoreUnusable
from export_core.job import JobRequest, JobStatus, StrategyChoice
from export_core.store import JobStore
from tests.small_disk import fill, mounted

REQUEST = JobRequest(project="a/b", source="x", strategy=StrategyChoice("notification", None, {}))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path, "24m") as place:
        yield place


def test_a_full_disk_takes_a_last_word(disk: Path) -> None:
    file = disk / "home" / "packmule.db"
    store = JobStore(file)
    job = store.create(REQUEST)
    store.close()  # SQLite's own files are gone, too: even reading needs room for them now
    fill(disk)
    with pytest.raises(StoreUnusable, match=r"full|I/O"):
        JobStore(file).create(REQUEST)
    store = JobStore(file)
    store.use_reserve()
    store.cancel(job.id)
    assert store.get(job.id).status is JobStatus.CANCELLED
    store.close()


def test_it_is_kept_again_when_there_is_room(disk: Path) -> None:
    file = disk / "home" / "packmule.db"
    JobStore(file).create(REQUEST)
    (reserve,) = (disk / "home").glob("*-reserve")
    assert reserve.stat().st_mode & 0o777 == 0o600
    reserve.unlink()
    fill(disk)
    (disk / "filling").unlink()
    JobStore(file).create(REQUEST)
    assert reserve.exists()
