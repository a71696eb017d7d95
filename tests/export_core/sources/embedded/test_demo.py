"""The demonstration project: complete by the facts, sound by other tools, the same every time."""

import hashlib
import json
import subprocess
import tarfile
from collections import Counter

import pytest

from export_core.errors import UsageError
from export_core.sources.embedded import demo_scale
from export_core.sources.embedded.demo import load_demo
from export_core.sources.embedded.demo_archive import write_demo_archive
from export_core.sources.embedded.demo_scale import make_scale
from export_core.verify import verify_archive

NOT_IN_A_FILE_EXPORT = {"user_contributions"}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("demo") / "demo.tar.gz"
    write_demo_archive(path)
    return path


@pytest.fixture(scope="module")
def members(archive):
    with tarfile.open(archive) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar if info.isfile()}


def records(members, relation):
    content = members[f"./tree/project/{relation}.ndjson"]
    return [record for record in map(json.loads, content.splitlines()) if record is not None]


def paths(records, relation):
    """(path, attribute) of everything that the records hold, lists and objects alike."""
    found = Counter()
    for record in records:
        for key, value in record.items():
            found[relation, key] += 1
            below = value if isinstance(value, list) else [value]
            found += paths([item for item in below if isinstance(item, dict)], f"{relation}.{key}")
    return found


def test_every_relation_and_attribute_of_the_facts_occurs(members, shared):
    """By GitLab's own list of relations and attributes, not by our declaration of it."""
    facts = json.loads((shared / "gitlab" / "relations.json").read_text(encoding="utf-8"))
    found = Counter()
    for relation in facts["relations"]:
        found += paths(records(members, relation["name"]), relation["name"])
    missing = []

    def look(relation):
        if relation["path"] in NOT_IN_A_FILE_EXPORT:
            return
        missing.extend(
            f"{relation['path']}.{attribute['name']}"
            for attribute in relation["attributes"]
            if not found[relation["path"], attribute["name"]]
        )
        for child in relation["children"]:
            look(child)

    for relation in facts["relations"]:
        look(relation)
    assert missing == []
    root = json.loads(members["./tree/project.json"])
    assert list(root) == [attribute["name"] for attribute in facts["root"]["attributes"]]


def test_gitlab_would_import_it_without_a_single_remark(archive):
    report = verify_archive(archive)
    assert (report.problems, report.warnings, report.unknown_keys) == ([], [], Counter())
    assert report.relations["issues"].lines == 3


def test_it_is_the_same_every_time(archive, tmp_path):
    write_demo_archive(tmp_path / "again.tar.gz")
    assert (tmp_path / "again.tar.gz").read_bytes() == archive.read_bytes()


def test_its_repositories_can_be_cloned(members, tmp_path):
    refs = {}
    for name in ("project", "project.wiki", "project.design"):
        bundle = tmp_path / f"{name}.bundle"
        bundle.write_bytes(members[f"./{name}.bundle"])
        clone = tmp_path / name
        subprocess.run(["git", "clone", "--quiet", "--mirror", bundle, clone], check=True)
        subprocess.run(["git", "-C", clone, "fsck", "--strict"], check=True, capture_output=True)
        listed = ["git", "-C", clone, "for-each-ref", "--format=%(refname)"]
        refs[name] = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split()
    assert refs["project"] == [
        "refs/heads/feature/limit",
        "refs/heads/fix/readme",
        "refs/heads/main",
        "refs/merge-requests/1/head",
        "refs/merge-requests/2/head",
        "refs/tags/v0.1.0",
        "refs/tags/v0.2.0",
    ]
    assert refs["project.wiki"] == refs["project.design"] == ["refs/heads/main"]


def test_the_merge_requests_name_commits_of_the_repository(members, tmp_path):
    (tmp_path / "b").write_bytes(members["./project.bundle"])
    subprocess.run(["git", "clone", "--quiet", "--mirror", tmp_path / "b", tmp_path / "c"], check=True)
    for record in records(members, "merge_requests"):
        diff = record["merge_request_diff"]
        base, head = diff["base_commit_sha"], diff["head_commit_sha"]
        command = ["git", "-C", tmp_path / "c", "diff", base, head]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        assert told.endswith(diff["merge_request_diff_files"][0]["utf8_diff"])
        assert record["diff_head_sha"] == head


def test_lfs_objects_and_their_map_are_named_by_their_content(members):
    held = {name[-64:]: content for name, content in members.items() if name.startswith("./lfs-objects/")}
    assert {hashlib.sha256(content).hexdigest() for content in held.values()} == set(held)
    assert json.loads(members["./lfs-objects.json"]) == {key: [0] for key in held}


def test_loading_it_again_replaces_it(embedded):
    first = load_demo(embedded)
    second = load_demo(embedded)
    assert first.project == second.project == "packmule/demo"
    assert first.relations == second.relations
    assert not first.unknown_keys
    assert not first.unknown_relations
    assert not first.warnings
    assert [project.path for project in embedded.projects()].count("packmule/demo") == 1
    with embedded.connect() as connection:
        query = "SELECT count(*) FROM issues WHERE project_id IN (%s, %s)"
        assert connection.execute(query, (first.project_id, second.project_id)).fetchone() == (3,)


COUNTS = """
SELECT (SELECT count(*) FROM issues WHERE project_id = %(id)s),
  (SELECT count(*) FROM merge_requests WHERE target_project_id = %(id)s),
  (SELECT count(*) FROM p_ci_pipelines WHERE project_id = %(id)s),
  (SELECT count(*) FROM p_ci_builds WHERE project_id = %(id)s),
  (SELECT count(*) FROM notes WHERE project_id = %(id)s),
  (SELECT count(*) FROM events WHERE project_id = %(id)s)
"""
TEXTS = """
SELECT md5(string_agg(concat_ws('|', n.note, n.noteable_type, n.created_at, n.discussion_id, n.system, i.iid),
  E'\\n' ORDER BY n.id))
FROM notes n LEFT JOIN issues i ON i.id = n.noteable_id AND n.noteable_type = 'Issue' WHERE n.project_id = %s
"""


def test_a_scaled_project_has_everything_in_proportion_and_is_the_same_again(embedded):
    """As measured for 20,000 issues: 2,000 merge requests and pipelines, 109k notes, 99k events."""
    seen = []
    for _ in range(2):
        assert make_scale(embedded, 200, lambda text: None) == "packmule/scale-200"
        project = embedded.project("packmule/scale-200")
        with embedded.connect() as connection:
            counts = connection.execute(COUNTS, {"id": project.id}).fetchone()
            texts = connection.execute(TEXTS, (project.id,)).fetchone()
        repository = embedded.storage.repository(project.disk_path)
        for path in (repository.parents[1], *repository.rglob("*")):
            assert path.stat().st_mode & 0o077 == 0, path
        head = (repository / "refs/heads/main").read_text()
        seen.append((counts, texts, head))
    assert seen[0][0] == (200, 20, 20, 160, 1090, 990)
    assert seen[0] == seen[1]
    assert [stored.path for stored in embedded.projects()].count("packmule/scale-200") == 1


def test_rows_of_a_scaled_project_hang_on_rows_that_exist(embedded):
    make_scale(embedded, 50, lambda text: None)
    project = embedded.project("packmule/scale-50").id
    dangling = {
        "notes": "LEFT JOIN issues p ON p.id = noteable_id WHERE noteable_type = 'Issue'",
        "events": "LEFT JOIN notes p ON p.id = target_id WHERE target_type = 'Note'",
        "label_links": "LEFT JOIN labels p ON p.id = label_id WHERE true",
        "p_ci_builds": "LEFT JOIN p_ci_stages p ON p.id = stage_id WHERE true",
        "p_ci_stages": "LEFT JOIN p_ci_pipelines p ON p.id = pipeline_id WHERE true",
        "merge_request_metrics": "LEFT JOIN merge_request_diffs p ON p.id = t.merge_request_id WHERE true",
        "award_emoji": "LEFT JOIN notes p ON p.id = awardable_id WHERE awardable_type = 'Note'",
        "system_note_metadata": "LEFT JOIN notes p ON p.id = note_id AND p.system WHERE true",
        "note_diff_files": "LEFT JOIN notes p ON p.id = diff_note_id AND p.type = 'DiffNote' WHERE true",
    }
    with embedded.connect() as connection:
        low = connection.execute("SELECT min(id) FROM issues WHERE project_id = %s", (project,)).fetchone()[0]
        for table, join in dangling.items():
            counts = "count(*), count(*) FILTER (WHERE p.id IS NULL)"
            query = f"SELECT {counts} FROM {table} t {join} AND t.id >= %s"
            rows, lost = connection.execute(query, (low,)).fetchone()
            assert rows > 0, table
            assert lost == 0, table


@pytest.mark.parametrize("issues", [-1, 0, 9, 10_000_001])
def test_a_scale_out_of_bounds_is_refused(embedded, issues):
    with pytest.raises(UsageError):
        make_scale(embedded, issues, lambda text: None)


def test_a_scaled_project_that_fails_leaves_nothing(embedded, monkeypatch):
    monkeypatch.setattr(demo_scale, "statements", lambda values: "SELECT 1 / 0")
    before = set(embedded.storage.repositories.rglob("*.git"))
    with pytest.raises(Exception, match="division by zero"):
        make_scale(embedded, 11, lambda text: None)
    assert not embedded.project_exists("packmule/scale-11")
    assert set(embedded.storage.repositories.rglob("*.git")) == before
