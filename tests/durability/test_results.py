"""The same bytes with any number of workers; an archive that lacks something gives exit code 3."""

from __future__ import annotations

from tests.durability.scene import Scene, digest
from tests.durability.test_reuse import PROJECT, upload_of


def test_the_number_of_workers_does_not_show(demo: Scene) -> None:
    digests = set()
    for workers in (1, 2, 4, 7):
        target = demo.out / f"{workers}.tar.gz"
        demo.good("export", PROJECT, "--no-reuse", "--workers", str(workers), "--to", str(target))
        digests.add(digest(target))
    assert len(digests) == 1
    demo.nothing_is_left()


def test_something_missing(demo: Scene) -> None:
    gone = upload_of(demo)
    gone.unlink()
    target = demo.out / "x.tar.gz"
    refused = demo.run("export", PROJECT, "--to", str(target))
    assert refused.code == 3
    assert gone.name in refused.stderr
    assert "--allow-missing" in refused.stderr
    assert not target.exists()

    allowed = demo.run("export", PROJECT, "--to", str(target), "--allow-missing")
    assert allowed.code == 3, "delivered, but incomplete"
    assert allowed.stdout == f"{target}\n"
    assert "incomplete" in allowed.stderr
    job = demo.show(2)
    assert job["status"] == "finished"
    assert any(gone.name in warning for warning in job["warnings"])
    assert target.exists()


def test_an_incomplete_archive_that_was_resumed(demo: Scene) -> None:
    upload_of(demo).unlink()
    assert demo.run("export", PROJECT, "--allow-missing", kill="checkpoint:1").killed
    assert demo.run("resume").code == 3
    assert demo.store.get(1).status == "finished"
