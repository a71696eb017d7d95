"""An unchanged project is not packed and delivered again; and a reused archive goes with its last user."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from export_core.errors import DestinationUnusable
from export_core.sources.embedded.storage import Storage
from tests.durability.scene import Scene, digest
from tests.durability.test_snapshots import change
from tests.strategies import s3_server as s3

s3_server, s3_environment, s3_own_client, bucket = (
    s3.s3_server,
    s3.s3_environment,
    s3.s3_own_client,
    s3.s3_bucket,
)
PROJECT = "packmule/demo"


def export(scene: Scene, *words: str) -> dict[str, Any]:
    """Export the demo project; the job."""
    scene.good("export", PROJECT, *words)
    return scene.show(scene.store.list()[0].id)


def test_an_unchanged_project_in_packmules_store(demo: Scene) -> None:
    first = export(demo)
    second = export(demo)
    assert (second["reused_from"], second["archive"]) == (first["id"], first["archive"])
    third = export(demo)
    assert third["reused_from"] == first["id"], "the one that made it, not the one that reused it"
    assert len(list((demo.home / "archives").rglob("*.tar.gz"))) == 1
    demo.nothing_is_left()


def test_it_is_said(demo: Scene) -> None:
    export(demo)
    assert "its archive was reused" in demo.good("export", PROJECT).stderr


def test_no_reuse(demo: Scene) -> None:
    first = export(demo)
    second = export(demo, "--no-reuse")
    assert second["reused_from"] is None
    assert second["archive"]["path"] != first["archive"]["path"]
    assert second["archive"]["sha256"] == first["archive"]["sha256"]


def test_the_time_of_the_export_does_not_count(demo: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    first = export(demo)
    environment = demo.environment
    demo.environment = lambda **more: {**environment(**more), "SOURCE_DATE_EPOCH": "1800000000"}  # type: ignore[method-assign]
    assert export(demo)["reused_from"] == first["id"]


def upload_of(scene: Scene) -> Path:
    """A file that is attached somewhere in the project."""
    uploads = Storage(scene.home / "embedded" / "storage").uploads
    return min(path for path in (uploads / "@hashed").rglob("*") if path.is_file())


def test_a_changed_row(demo: Scene) -> None:
    export(demo)
    change(demo, "UPDATE issues SET title = title || '!'")
    assert export(demo)["reused_from"] is None


def test_a_changed_file_of_the_same_length(demo: Scene) -> None:
    export(demo)
    path = upload_of(demo)
    path.write_bytes(bytes(255 - byte for byte in path.read_bytes()))
    os.utime(path, ns=(1, 1))
    assert export(demo)["reused_from"] is None


def test_other_relations(demo: Scene) -> None:
    export(demo)
    assert export(demo, "--skip", "labels")["reused_from"] is None


def test_an_archive_that_is_gone_or_damaged(demo: Scene) -> None:
    path = Path(export(demo)["archive"]["path"])
    path.write_bytes(path.read_bytes()[:-1])
    second = export(demo)
    assert second["reused_from"] is None
    Path(second["archive"]["path"]).unlink()
    assert export(demo)["reused_from"] is None


def test_a_moved_file(demo: Scene) -> None:
    """Without --force the file in the way is refused as ever; with it, it is found to be the very same."""
    target = demo.out / "x.tar.gz"
    first = export(demo, "--to", str(target))
    assert demo.run("export", PROJECT, "--to", str(target)).code == DestinationUnusable.exit_code
    second = export(demo, "--to", str(target), "--force")
    assert second["reused_from"] == first["id"]
    assert digest(target) == first["archive"]["sha256"]
    other = export(demo, "--to", str(demo.out / "y.tar.gz"))
    assert other["reused_from"] is None
    assert digest(demo.out / "y.tar.gz") == digest(target)


@pytest.mark.parametrize("words", [(), ("--no-local-copy",)], ids=["file", "stream"])
def test_an_uploaded_object(demo: Scene, bucket: s3.Bucket, words: tuple[str, ...]) -> None:
    where = ("--to", f"s3://{bucket.name}/x.tar.gz", "--endpoint-url", bucket.url, "--region", "us-east-1")
    first = export(demo, *where, *words)
    etag = bucket.head("x.tar.gz")["LastModified"]
    second = export(demo, *where, *words)
    assert second["reused_from"] == first["id"]
    assert bucket.head("x.tar.gz")["LastModified"] == etag
    bucket.client.delete_object(Bucket=bucket.name, Key="x.tar.gz")
    assert export(demo, *where, *words)["reused_from"] is None
    demo.nothing_is_left()


def test_a_reused_archive_goes_with_its_last_user(demo: Scene) -> None:
    path = Path(export(demo)["archive"]["path"])
    export(demo)
    make_old(demo, 1)
    demo.good("clean", "--yes", "--older-than", "1h")
    assert path.exists(), "job 2 refers to it"
    assert demo.show(2)["archive"]["path"] == str(path)
    make_old(demo, 2)
    demo.good("clean", "--yes", "--older-than", "1h")
    assert not path.exists()
    assert demo.show(2)["archive"] is None if 2 in {job.id for job in demo.store.list()} else True
    assert export(demo)["reused_from"] is None


def make_old(scene: Scene, job: int) -> None:
    """Time travel: the job ended in the last century."""
    with sqlite3.connect(scene.home / "packmule.db") as connection:
        for column in ("created_at", "started_at", "heartbeat_at", "finished_at"):
            connection.execute(f"UPDATE jobs SET {column} = '1999-12-31T00:00:00.000Z' WHERE id = ?", (job,))
    connection.close()
