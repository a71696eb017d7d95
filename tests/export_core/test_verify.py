"""``verify`` against archives built here, by git, and the real ones; the importer's list is the measure."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from export_core.errors import NotFound
from export_core.verify import VerifyReport, verify_archive

ARCHIVES = Path(__file__).parents[3] / "shared" / "archives"
SNIPPET = {
    "title": "Größe",
    "description": None,
    "created_at": "2024-01-02T03:04:05.678Z",
    "updated_at": "2024-02-03T04:05:06.789Z",
}
DIGEST = hashlib.sha256("Größe2024-01-02 03:04:05 UTC2024-02-03 04:05:06 UTC".encode()).hexdigest()
BASE: Mapping[str, bytes] = {"VERSION": b"0.2.4", "tree/project.json": b'{"description":null}'}


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    root = tmp_path_factory.mktemp("git")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-C", str(root)]
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    for name in ("one", "two"):
        (root / name).write_bytes(os.urandom(5000))
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "-qm", name], check=True)
    subprocess.run([*git, "bundle", "create", "-q", "all.bundle", "--all"], check=True)
    subprocess.run([*git, "bundle", "create", "-q", "half.bundle", "HEAD~1..HEAD", "HEAD"], check=True)
    return (root / "all.bundle").read_bytes()


def verified(path: Path, files: Mapping[str, bytes]) -> VerifyReport:
    archive = path / "a.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo("./" + name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    report = verify_archive(archive)
    assert report.importable == (not report.problems)
    json.dumps(report.to_json())
    return report


def lines(*records: object) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def test_a_small_valid_archive(tmp_path: Path, bundle: bytes) -> None:
    content = os.urandom(1000)
    oid = hashlib.sha256(content).hexdigest()
    report = verified(
        tmp_path,
        {
            **BASE,
            "GITLAB_VERSION": b"18.9.0",
            "GITLAB_REVISION": b"abc",
            "project.bundle": bundle,
            "project.wiki.bundle": bundle,
            f"snippets/{DIGEST}.bundle": bundle,
            "tree/project/snippets.ndjson": lines(SNIPPET),
            "tree/project/labels.ndjson": lines({"title": "a"}, {"title": "b"}),
            "tree/project/auto_devops.ndjson": b"null",
            "tree/project/project_members.ndjson": b"",
            "lfs-objects.json": json.dumps({oid: [0, None]}).encode(),
            f"lfs-objects/{oid}": content,
            f"uploads/{'a' * 32}/x.png": b"x",
            "avatar/x.png": b"x",
        },
    )
    assert (report.problems, report.warnings) == ([], [])
    counted = {count.name: (count.lines, count.bytes) for count in report.relations.values()}
    assert counted["labels"] == (2, 30)
    assert counted["auto_devops"] == (0, 4)
    assert counted["project_members"] == (0, 0)
    assert counted["project"] == (1, 20)
    assert counted["repository"] == (1, len(bundle))
    assert counted["snippets_repository"] == (1, len(bundle))
    assert counted["lfs_objects"] == (1, 1000)
    assert counted["uploads"] == counted["avatar"] == (1, 1)
    assert (report.version, report.gitlab_version) == ("0.2.4", "18.9.0")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"VERSION": b"0.2.3"}, "VERSION is '0.2.3'"),
        ({"VERSION": b"abc"}, "VERSION is 'abc'"),
        ({"tree/project.json": b"[]"}, "project.json is not a JSON object"),
        ({"tree/project.json": b'{"a":'}, "project.json is not valid JSON"),
        ({"tree/project/labels.ndjson": b'{"title":"a"}\n\n{"title":"b"}\n'}, "line 2 is blank"),
        ({"tree/project/labels.ndjson": b'{"title":"a"}\n{"title":}\n'}, "line 2 is not valid JSON"),
        ({"tree/project/labels.ndjson": b'{"title":"\xff"}\n'}, "line 1 is not UTF-8"),
        ({"tree/project/labels.ndjson": b'{"weight":NaN}\n'}, "NaN is no JSON"),
        ({"tree/project/labels.ndjson": b"[1]\n"}, "line 1 is not a JSON object"),
        ({"tree/project/labels.ndjson": b"null\n"}, "line 1 is not a JSON object"),
        ({"tree/project/labels.ndjson": b"[" * 100_000 + b"\n"}, "line 1 is nested too deeply"),
        ({"tree/project/unheard_of.ndjson": b"{\n"}, "line 1 is not valid JSON"),
        ({"project.bundle": b"no bundle at all"}, "project.bundle does not begin"),
        ({"lfs-objects.json": b"{}", "lfs-objects/" + "0" * 64: b"x"}, "is not listed in lfs-objects.json"),
        ({"lfs-objects/" + "0" * 64: b"x"}, "its content has the sha256 2d711642b726b044"),
        ({"lfs-objects.json": b'{"xyz":[0]}'}, "the entry of xyz is not valid"),
        ({"lfs-objects.json": b"{"}, "lfs-objects.json is not valid JSON"),
    ],
)
def test_what_the_importer_refuses(tmp_path: Path, files: Mapping[str, bytes], words: str) -> None:
    report = verified(tmp_path, {**BASE, **files})
    assert any(words in problem for problem in report.problems), report.problems


def test_every_problem_is_listed(tmp_path: Path) -> None:
    bad = b"".join(b"{\n" for _ in range(75))
    report = verified(
        tmp_path,
        {**BASE, "VERSION": b"1", "tree/project/labels.ndjson": bad, "project.wiki.bundle": b"x"},
    )
    assert len([p for p in report.problems if "labels.ndjson line" in p]) == 50
    assert "tree/project/labels.ndjson: and 25 more problems of this file" in report.problems
    assert any("project.wiki.bundle" in p for p in report.problems)
    assert any("VERSION" in p for p in report.problems)


def test_a_line_of_more_than_fifty_mebibytes(tmp_path: Path) -> None:
    limit = 50 << 20
    fits = b'{"title":"' + b"x" * (limit - 13) + b'"}\n'
    assert len(fits) == limit
    labels = fits + b'{"title":"' + b"y" * limit + b'"}\n{"title":"z"}\n'
    report = verified(tmp_path, {**BASE, "tree/project/labels.ndjson": labels})
    assert report.problems == ["tree/project/labels.ndjson: line 2 is longer than 50 MiB"]
    assert report.relations["labels"].lines == 3


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_bundle(tmp_path: Path, bundle: bytes, damage: str) -> None:
    broken = bytearray(bundle)
    if damage == "cut":
        del broken[len(broken) // 2 :]
    else:
        broken[len(broken) // 2] ^= 0xFF
    report = verified(tmp_path, {**BASE, "project.bundle": bytes(broken)})
    assert len(report.problems) == 1
    assert "project.bundle is refused by git" in report.problems[0]


def test_a_bundle_that_needs_other_commits(
    tmp_path: Path, bundle: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    half = next(tmp_path_factory.getbasetemp().glob("git*/half.bundle")).read_bytes()
    report = verified(tmp_path, {**BASE, "project.bundle": half})
    assert "refused by git bundle verify" in report.problems[0]


def test_snippets_and_their_bundles(tmp_path: Path, bundle: bytes) -> None:
    other = {**SNIPPET, "title": "other"}
    files = {
        **BASE,
        f"snippets/{'0' * 64}.bundle": bundle,
        f"snippets/{DIGEST}.bundle": bundle,
        "tree/project/snippets.ndjson": lines(other, SNIPPET),
    }
    report = verified(tmp_path, files)
    assert report.problems == [f"snippets/{'0' * 64}.bundle belongs to no snippet of snippets.ndjson"]
    assert any("1 snippet(s) have no repository bundle" in warning for warning in report.warnings)


def test_unknown_relations_and_keys_are_named(tmp_path: Path) -> None:
    issue = {"title": "t", "iid": 1, "id": 7, "notes": [{"attachment": None, "author": {"name": "a"}}] * 2}
    issue["notes"] = [{**note, "updated_at": "2024-01-02T03:04:05.678Z"} for note in issue["notes"]]  # type: ignore[attr-defined]
    pipelines = lines({"stages": [{"statuses": [{"type": "Ci::Build"}]}], "notes": []})
    report = verified(
        tmp_path,
        {
            **BASE,
            "tree/project/issues.ndjson": lines(issue),
            "tree/project/ci_pipelines.ndjson": pipelines,
            "tree/project/triggers.ndjson": lines({"token": "x"}),
        },
    )
    assert report.importable
    assert report.unknown_relations == ["triggers"]
    assert dict(report.unknown_keys) == {"issues.id": 1, "issues.notes.attachment": 2}


def test_records_that_gitlab_would_drop_are_warnings(tmp_path: Path) -> None:
    merge_request = {
        "notes": [{"note": "x"}],
        "merge_request_diff": {"head_commit_sha": "no sha", "merge_request_diff_files": [{"new_path": "a"}]},
    }
    report = verified(
        tmp_path,
        {
            **BASE,
            "tree/project/merge_requests.ndjson": lines(merge_request),
            "tree/project/labels.ndjson": lines({"title": "a,b"}, {"title": "c"}, {"title": "c"}),
        },
    )
    assert report.importable
    text = "\n".join(report.warnings)
    for words in (
        "without author.name",
        "no commit id",
        "utf8_diff is missing",
        "comma",
        "'c' is there more",
    ):
        assert words in text


def test_uploads_outside_the_safe_layout_are_warnings(tmp_path: Path) -> None:
    report = verified(tmp_path, {**BASE, "uploads/x.png": b"", "avatar/a": b"", "avatar/b": b"", "x/y": b""})
    assert report.importable
    assert len(report.warnings) == 3


def test_unsafe_members_and_damage_are_problems_not_crashes(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, kind in (("../evil", tarfile.REGTYPE), ("link", tarfile.SYMTYPE)):
            info = tarfile.TarInfo(name)
            info.type = kind
            tar.addfile(info)
    report = verify_archive(archive)
    assert len(report.problems) == 4  # two members, no tree, no version
    archive.write_bytes(archive.read_bytes()[:-20])
    assert any("cut off" in problem for problem in verify_archive(archive).problems)
    archive.write_text("text")
    assert verify_archive(archive).problems == [f"{archive} is not a gzip file"]
    archive.write_bytes(gzip.compress(b""))
    assert not verify_archive(archive).importable
    with pytest.raises(NotFound):
        verify_archive(tmp_path / "none")


@pytest.mark.skipif(not ARCHIVES.is_dir(), reason="the real archives are not here")
def test_the_real_archives_are_importable() -> None:
    for archive in sorted(ARCHIVES.glob("*.tar.gz")):
        report = verify_archive(archive)
        assert report.problems == [], archive.name
        assert report.gitlab_version is not None
        assert report.relations["repository"].lines == 1
    sample = verify_archive(ARCHIVES / "gitlab-13.8-sample.tar.gz")
    assert sample.relations["issues"].lines == sample.relations["merge_requests"].lines == 30
    assert "metrics_setting" in sample.unknown_relations
    assert sample.unknown_keys["issues.id"] == 30
