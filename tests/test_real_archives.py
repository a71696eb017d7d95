"""Archive in, PostgreSQL, archive out, equal: through the command line, on real archives and made ones."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from export_core.sources.embedded.instance import EmbeddedInstance
from export_core.verify import verify_archive
from tests.archive_equality import differences
from tests.archive_maker import Maker, write

NAMES = ("13.8-sample", "15.10-with-wiki", "16.6-plainhtml", "17.4-laravel", "18.0-docusaurus")


def packmule(home: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    code = "import sys; from cli.main import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        env=os.environ | {"PACKMULE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


def carried(home: Path, archive: Path, project: str, to: Path) -> Path:
    """The archive, imported as ``project`` and exported again to ``to``."""
    for words in (("import", archive, "--as", project), ("export", project, "--to", to)):
        done = packmule(home, *words)
        assert done.returncode == 0, done.stderr
    return to


@pytest.mark.parametrize("name", NAMES)
def test_a_real_archive_comes_back_equal(
    embedded: EmbeddedInstance, shared: Path, tmp_path: Path, name: str
) -> None:
    original = shared / "archives" / f"gitlab-{name}.tar.gz"
    exported = carried(embedded.home.root, original, f"real/{name}", tmp_path / "out.tar.gz")
    assert differences(original, exported, tmp_path) == []
    assert verify_archive(exported).problems == []


@pytest.mark.parametrize("seed", [1, 2])
def test_an_archive_with_every_relation_comes_back_equal(
    embedded: EmbeddedInstance, tmp_path: Path, seed: int
) -> None:
    maker = Maker(seed, size=8)
    original = write(tmp_path / "in.tar.gz", maker.relations(), maker.project())
    exported = carried(embedded.home.root, original, f"made/{seed}", tmp_path / "out.tar.gz")
    assert differences(original, exported, tmp_path) == []


def test_repositories_and_files_come_back_equal(embedded: EmbeddedInstance, tmp_path: Path) -> None:
    bundle = made_bundle(tmp_path / "work")
    times = {"created_at": "2024-01-02T03:04:05.678Z", "updated_at": "2024-01-02T03:04:05.678Z"}
    snippets = [{"title": title, "description": None, **times} for title in ("one", "two", "no repository")]
    digests = [
        hashlib.sha256(f"{s['title']}{'2024-01-02 03:04:05 UTC' * 2}".encode()).hexdigest() for s in snippets
    ]
    lfs = os.urandom(3000)
    oid = hashlib.sha256(lfs).hexdigest()
    files = {
        "project.bundle": bundle,
        "project.wiki.bundle": bundle,
        "project.design.bundle": bundle,
        f"snippets/{digests[0]}.bundle": bundle,
        f"snippets/{digests[1]}.bundle": bundle,
        f"uploads/{'a' * 32}/ä b.png": b"picture",
        f"uploads/{'b' * 32}/empty": b"",
        f"uploads/{'c' * 32}/ä b.png": b"another picture of that name",
        "lfs-objects.json": json.dumps({oid: [0, None]}).encode(),
        f"lfs-objects/{oid}": lfs,
        "avatar/uploads/-/system/project/avatar/5/me.png": b"face",
    }
    project = {"description": "x", "default_branch": "side"}
    original = write(tmp_path / "in.tar.gz", {"snippets": snippets}, project, **files)
    exported = carried(embedded.home.root, original, "made/files", tmp_path / "out.tar.gz")
    assert differences(original, exported, tmp_path) == []
    report = verify_archive(exported)
    assert report.problems == []
    counted = {
        name: report.relations[name].lines
        for name in ("uploads", "lfs_objects", "avatar", "snippets_repository")
    }
    assert counted == {"uploads": 3, "lfs_objects": 1, "avatar": 1, "snippets_repository": 2}
    heads = subprocess.run(
        ["git", "ls-remote", "--symref", head_of(embedded), "HEAD"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "refs/heads/side\tHEAD" in heads.stdout


def head_of(embedded: EmbeddedInstance) -> Path:
    project = embedded.project("made/files")
    assert project is not None
    return embedded.storage.repository(project.disk_path)


def made_bundle(work: Path) -> bytes:
    """A bundle with two branches, a tag and a ref outside both."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-C", str(work)]
    work.mkdir()
    for words in (
        ("init", "-q", "-b", "main"),
        ("commit", "-q", "--allow-empty", "-m", "one"),
        ("tag", "-am", "v1", "v1"),
        ("update-ref", "refs/merge-requests/1/head", "HEAD"),
        ("checkout", "-q", "-b", "side"),
        ("commit", "-q", "--allow-empty", "-m", "two"),
        ("checkout", "-q", "main"),
        ("bundle", "create", "-q", "all.bundle", "--all"),
    ):
        subprocess.run([*git, *words], check=True)
    return (work / "all.bundle").read_bytes()


def test_the_comparison_sees_every_kind_of_difference(tmp_path: Path) -> None:
    maker = Maker(3, size=4)
    made, project = maker.relations(), maker.project()
    original = write(tmp_path / "a.tar.gz", made, project)
    assert differences(original, original, tmp_path) == []

    def changed(**relations: list[object]) -> list[str]:
        return differences(original, write(tmp_path / "b.tar.gz", made | relations, project), tmp_path)  # type: ignore[arg-type]

    issues = made["issues"]
    assert changed(issues=issues[:-1])
    assert changed(issues=issues[::-1])
    assert changed(issues=[issues[0] | {"title": "other"}, *issues[1:]])
    assert changed(issues=[issues[0] | {"author_id": 99}, *issues[1:]]), (
        "an id that changes in one place only"
    )
    assert changed(issues=[issues[0] | {"notes": []}, *issues[1:]]) or not issues[0]["notes"]
    assert changed(issues=[{k: v for k, v in issues[0].items() if k != "title"}, *issues[1:]])
    assert changed(issues=[issues[0] | {"unheard_of": 1}, *issues[1:]])
    assert changed(labels=[made["labels"][0] | {"template": 1}, *made["labels"][1:]]), "true is not 1"
    shifted = json.loads(json.dumps(made["project_badges"]).replace("4711", "8888"))
    assert changed(project_badges=shifted), "an id that means the same elsewhere"
