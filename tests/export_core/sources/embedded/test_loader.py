"""Loading archives: what becomes of ids, shared objects, old shapes and files; failures leave nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from export_core import events
from export_core.errors import ArchiveInvalid, DestinationUnusable, NotFound, UsageError
from export_core.sources.embedded.instance import EmbeddedInstance
from export_core.sources.embedded.loader import load_archive
from export_core.sources.embedded.loader_ids import Ids, pipeline_ids
from export_core.sources.embedded.loader_report import LoadReport
from tests.archive_maker import Maker, write

TIME = "2024-01-02T03:04:05.678Z"
LABEL = {"title": "bug", "color": "#ff0000", "project_id": 5, "created_at": TIME, "type": "ProjectLabel"}


class Loaded:
    """A project that was loaded, and questions to its database."""

    def __init__(self, instance: EmbeddedInstance, report: LoadReport) -> None:
        self.instance, self.report, self.id = instance, report, report.project_id

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.instance.connect() as connection:
            return connection.execute(sql.replace(":id", str(self.id)).encode()).fetchall()


class Loader:
    """Loads records that a test makes up."""

    def __init__(self, instance: EmbeddedInstance, scratch: Path, prefix: str) -> None:
        self.instance, self.scratch, self.prefix, self.count = instance, scratch, prefix, 0

    def archive(self, made: Mapping[str, list[Any]], **files: bytes) -> Path:
        self.count += 1
        return write(self.scratch / f"{self.count}.tar.gz", made, {"description": None}, **files)

    def __call__(self, made: Mapping[str, list[Any]], **files: bytes) -> Loaded:
        archive = self.archive(made, **files)
        path = f"{self.prefix}/p{self.count}"
        return Loaded(self.instance, load_archive(self.instance, archive, path))


@pytest.fixture
def load(embedded: EmbeddedInstance, tmp_path: Path, request: pytest.FixtureRequest) -> Loader:
    return Loader(embedded, tmp_path, hashlib.sha1(request.node.nodeid.encode()).hexdigest()[:12])


def everything(instance: EmbeddedInstance) -> tuple[dict[str, int], set[str]]:
    """Rows of every table, and all files and directories of the storage."""
    with instance.connect() as connection:
        names = connection.execute(
            "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE relkind IN ('r', 'p') AND nspname = 'public'"
        ).fetchall()
        counts = {}
        for (name,) in names:
            row = connection.execute(f"SELECT count(*) FROM {name}".encode()).fetchone()
            counts[name] = row[0] if row else 0
    loads = instance.home.embedded / "loads"
    places = [*instance.storage.root.rglob("*"), *loads.rglob("*")]
    return counts, {str(path) for path in places if not path.is_dir() or path.suffix == ".git"}


def test_every_archived_id_moves_by_one_offset(load: Loader) -> None:
    issue = {
        "title": "t",
        "iid": 3,
        "project_id": 5,
        "author_id": 40,
        "updated_by_id": 41,
        "closed_by_id": None,
    }
    note = {
        "note": "n",
        "author_id": 40,
        "author": {"name": "Ada"},
        "noteable_type": "Issue",
        "commit_id": "7",
    }
    loaded = load({"issues": [issue | {"notes": [note]}]})
    offset = loaded.id - 5
    ((author, updated, closed, iid),) = loaded.rows(
        "SELECT author_id, updated_by_id, closed_by_id, iid FROM issues WHERE project_id = :id"
    )
    assert (author - offset, updated - offset, closed, iid) == (40, 41, None, 3)
    assert loaded.rows(f"SELECT name FROM users WHERE id = {40 + offset}") == [("Ada",)]
    assert loaded.rows(f"SELECT name FROM users WHERE id = {41 + offset}") == [(f"user-{41 + offset}",)]
    assert loaded.rows(f"SELECT commit_id FROM notes WHERE author_id = {40 + offset}") == [("7",)]


def test_two_archives_never_share_an_id(load: Loader) -> None:
    made = {"labels": [LABEL], "project_members": [{"user_id": 1, "user": {"id": 1, "username": "root"}}]}
    first, second = load(made), load(made)
    assert first.id != second.id
    labels = [loaded.rows("SELECT id FROM labels WHERE project_id = :id") for loaded in (first, second)]
    users = [loaded.rows("SELECT user_id FROM members WHERE source_id = :id") for loaded in (first, second)]
    assert labels[0] != labels[1]
    assert users[0] != users[1]
    names = second.rows(f"SELECT username FROM users WHERE id IN ({users[0][0][0]}, {users[1][0][0]})")
    assert names == [("root",), ("root",)]


def test_a_user_who_was_not_shown_is_not_made_up(load: Loader) -> None:
    loaded = load({"issues": [{"project_id": 5, "notes": [{"note": "x", "author_id": 77}]}]})
    ((author,),) = loaded.rows(
        "SELECT n.author_id FROM notes n JOIN issues i ON i.id = noteable_id WHERE i.project_id = :id"
    )
    assert loaded.rows(f"SELECT count(*) FROM users WHERE id = {author}") == [(0,)]


def test_equal_labels_are_one_row_and_different_ones_are_not(load: Loader) -> None:
    group = LABEL | {"project_id": None, "group_id": 9, "type": "GroupLabel"}
    links = [{"target_type": "Issue", "label": label} for label in (LABEL, group, LABEL, group)]
    loaded = load(
        {"labels": [LABEL | {"priorities": []}], "issues": [{"project_id": 5, "label_links": links}]}
    )
    ((own,),) = loaded.rows("SELECT id FROM labels WHERE project_id = :id")
    linked = loaded.rows(
        "SELECT label_id FROM label_links l JOIN issues i ON i.id = target_id WHERE i.project_id = :id"
        " ORDER BY l.id"
    )
    ids = [row[0] for row in linked]
    assert ids[0] == ids[2] == own
    assert ids[1] == ids[3] != own
    ((group_id, kind),) = loaded.rows(f"SELECT group_id, type FROM labels WHERE id = {ids[1]}")
    assert kind == "GroupLabel"
    assert loaded.rows(f"SELECT type FROM namespaces WHERE id = {group_id}") == [("Group",)]


def test_a_label_that_only_an_issue_shows_is_kept_out_of_the_lines(load: Loader) -> None:
    stray = LABEL | {"title": "renamed meanwhile"}
    loaded = load({"labels": [LABEL], "issues": [{"project_id": 5, "label_links": [{"label": stray}]}]})
    ids = loaded.rows("SELECT id FROM labels WHERE project_id = :id ORDER BY id")
    assert len(ids) == 2
    assert loaded.rows("SELECT packmule_kept->'lines' FROM projects WHERE id = :id") == [
        ({"labels": [ids[0][0]]},)
    ]


def test_milestones_that_are_built_in_have_no_row(load: Loader) -> None:
    board = {"project_id": 5, "name": "b", "milestone": {"title": "Any Milestone", "name": "", "id": -1}}
    loaded = load({"boards": [board]})
    assert loaded.rows("SELECT milestone_id FROM boards WHERE project_id = :id") == [(-1,)]


def test_lines_keep_their_order_by_id(load: Loader) -> None:
    titles = ["c", "a", "b", "a"]
    loaded = load({"milestones": [{"title": title, "project_id": 5} for title in titles]})
    rows = loaded.rows("SELECT title FROM milestones WHERE project_id = :id ORDER BY id")
    assert [row[0] for row in rows] == titles


def test_pipelines_have_the_ids_that_their_jobs_tell() -> None:
    def ids() -> Ids:
        return Ids(1000, 2000)

    assert pipeline_ids((5, None, 9), ids()) == [1005, 1006, 1009]
    assert pipeline_ids((None, 7, None), ids()) == [1001, 1007, 2000]
    narrow = ids()
    assert pipeline_ids((5, None, 6), narrow) == sorted(set(pipeline_ids((5, None, 6), ids())))
    assert narrow.pipeline(5) == 2000 or narrow.pipeline(5) >= 2000
    descending = ids()
    numbers = pipeline_ids((9, 5), descending)
    assert numbers == sorted(numbers)
    assert [descending.pipeline(9), descending.pipeline(5)] == numbers


def test_jobs_belong_to_their_pipeline(load: Loader) -> None:
    jobs = [
        {
            "type": "Ci::Build",
            "name": "j",
            "commit_id": 31,
            "project_id": 5,
            "failure_reason": "unknown_failure",
        }
    ]
    pipelines = [
        {
            "project_id": 5,
            "source": "unknown",
            "stages": [{"name": "s", "status": "success", "builds": jobs}],
        },
        {"project_id": 5, "source": "push", "stages": []},
    ]
    loaded = load({"ci_pipelines": pipelines})
    rows = loaded.rows("SELECT id, source FROM p_ci_pipelines WHERE project_id = :id ORDER BY id")
    assert [row[1] for row in rows] == [None, 1]
    assert rows[0][0] - 31 == loaded.id - 5
    assert loaded.rows("SELECT commit_id, failure_reason FROM p_ci_builds WHERE project_id = :id") == [
        (rows[0][0], None)
    ]


def test_old_shapes_are_loaded_and_said(load: Loader) -> None:
    statuses = [
        {"type": kind, "name": kind} for kind in ("Ci::Bridge", "Ci::Build", "GenericCommitStatus", "Odd")
    ]
    commit = {"author_name": "Ada", "author_email": "a@b", "committer_name": "Bob", "committer_email": "b@b"}
    loaded = load(
        {
            "ci_pipelines": [{"project_id": 5, "stages": [{"project_id": 5, "statuses": statuses}]}],
            "merge_requests": [
                {
                    "target_project_id": 5,
                    "merge_request_diff": {"merge_request_diff_commits": [commit | {"sha": "ab" * 20}]},
                }
            ],
            "triggers": [{"token": "x"}, {"token": "y"}],
        }
    )
    rows = loaded.rows(
        "SELECT type FROM p_ci_builds b JOIN p_ci_stages s ON s.id = stage_id WHERE s.project_id = :id"
    )
    assert {row[0] for row in rows} == {"Ci::Bridge", "Ci::Build", "GenericCommitStatus"}
    people = loaded.rows(
        "SELECT a.name, c.email FROM merge_requests m JOIN merge_request_diffs d ON d.merge_request_id = m.id"
        " JOIN merge_request_diff_commits x ON x.merge_request_diff_id = d.id"
        " JOIN merge_request_diff_commit_users a ON a.id = commit_author_id"
        " JOIN merge_request_diff_commit_users c ON c.id = committer_id WHERE m.target_project_id = :id"
    )
    assert people == [("Ada", "b@b")]
    assert loaded.report.unknown_relations == {"triggers": 2}
    assert loaded.report.unknown_keys["ci_pipelines.stages.statuses"] == 1
    assert (
        loaded.report.unknown_keys["merge_requests.merge_request_diff.merge_request_diff_commits.author_name"]
        == 1
    )
    assert any("job of an unknown type" in warning for warning in loaded.report.warnings)


def test_empty_records_files_and_nulls(load: Loader) -> None:
    loaded = load({"protected_branches": [{}, {}], "auto_devops": [None], "push_rule": [{}], "boards": []})
    assert loaded.report.relations["protected_branches"] == 2
    assert loaded.report.relations["auto_devops"] == loaded.report.relations["boards"] == 0
    assert loaded.rows("SELECT count(*) FROM protected_branches WHERE project_id = :id") == [(2,)]
    assert loaded.rows("SELECT count(*) FROM project_auto_devops WHERE project_id = :id") == [(0,)]
    assert loaded.rows("SELECT count(*) FROM push_rules WHERE project_id = :id") == [(1,)]


def test_values_that_need_a_form_of_their_own(load: Loader) -> None:
    merge_request = {
        "target_project_id": 5,
        "state": "merged",
        "created_at": "2024-01-02T05:04:05.678+02:00",
        "merge_params": {"force_remove_source_branch": "1"},
        "squash_commit_sha": "ab" * 20,
        "merge_request_diff": {
            "merge_request_diff_files": [{"utf8_diff": "ä", "binary": True}, {"utf8_diff": "ä"}]
        },
        "notes": [
            {"type": "DiffNote", "position": {"base_sha": "cd" * 20, "old_line": None, "new_path": "a b"}}
        ],
    }
    loaded = load({"merge_requests": [merge_request]})
    ((state, created, params, sha),) = loaded.rows(
        "SELECT state_id, created_at::text, merge_params, encode(squash_commit_sha, 'hex')"
        " FROM merge_requests WHERE target_project_id = :id"
    )
    assert (state, created, sha) == (3, "2024-01-02 03:04:05.678", "ab" * 20)
    assert params == '---\nforce_remove_source_branch: "1"\n'
    diffs = loaded.rows(
        "SELECT diff FROM merge_request_diff_files f"
        " JOIN merge_request_diffs d ON d.id = merge_request_diff_id"
        " JOIN merge_requests m ON m.id = d.merge_request_id WHERE m.target_project_id = :id"
        " ORDER BY relative_order"
    )
    assert [row[0] for row in diffs] == ["w6Q=", "ä"]
    ((position,),) = loaded.rows(
        "SELECT position FROM notes n JOIN merge_requests m ON m.id = noteable_id"
        " WHERE m.target_project_id = :id"
    )
    head = "--- !ruby/object:Gitlab::Diff::Position\nattributes:\n"
    assert position == head + f'  :base_sha: {"cd" * 20}\n  :old_line:\n  :new_path: "a b"\n'


def test_nul_characters_and_unknown_words_are_said(load: Loader) -> None:
    loaded = load(
        {"issues": [{"project_id": 5, "title": "a\0b", "state": "reopened", "health_status": "fine"}]}
    )
    assert loaded.rows("SELECT title FROM issues WHERE project_id = :id") == [("ab",)]
    assert loaded.report.warnings == [
        "NUL characters in texts are left out",
        "issues.state: GitLab 18.9 does not know 'reopened'; left empty",
        "issues.health_status: GitLab 18.9 does not know 'fine'; left empty",
    ]


@pytest.mark.parametrize(("content", "said"), [(b"0.1.0", "VERSION is '0.1.0'"), (b"0.2.4\n", None)])
def test_a_format_that_gitlab_would_refuse_is_said(load: Loader, content: bytes, said: str | None) -> None:
    warnings = load({"labels": [LABEL]}, VERSION=content).report.warnings
    assert [warning.partition(";")[0] for warning in warnings] == ([said] if said else [])


def test_the_report_is_a_json_document(load: Loader) -> None:
    loaded = load({"labels": [LABEL], "metrics_setting": [{"a": 1}]})
    document = json.loads(json.dumps(loaded.report.to_json()))
    assert document["project_id"] == loaded.id
    assert {"name": "labels", "lines": 1} in document["relations"]
    assert document["unknown_relations"] == {"metrics_setting": 1}


OID = hashlib.sha256(b"content").hexdigest()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (
            {"tree/project/issues.ndjson": b'{"title":"a","project_id":5}\n{"title":\n'},
            "issues.ndjson line 2",
        ),
        ({"tree/project/issues.ndjson": b"[1]\n"}, "issues.ndjson line 1"),
        ({"tree/project/issues.ndjson": b'{"iid":"many"}\n'}, "a value that issues cannot take"),
        ({"tree/project/issues.ndjson": b'{"created_at":17}\n'}, "issues.ndjson line 1"),
        (
            {"tree/project/issues.ndjson": b'{"author_id":99999999999999999999}\n'},
            "an id that no GitLab gives out",
        ),
        ({"tree/project.json": b"[]"}, "project.json is not a JSON object"),
        ({"tree/project.json": b'{"visibility_level":"high"}'}, "project.json cannot be loaded"),
        ({"project.wiki.bundle": b"# v2 git bundle\nnonsense\n"}, "git cannot read a bundle"),
        ({f"lfs-objects/{OID}": b"other", "lfs-objects.json": json.dumps({OID: [0]}).encode()}, "is damaged"),
        ({"lfs-objects.json": b"[]"}, "lfs-objects.json"),
    ],
)
def test_a_load_that_fails_leaves_nothing(load: Loader, files: Mapping[str, bytes], words: str) -> None:
    maker = Maker(1, size=2)
    made = maker.relations()
    before = everything(load.instance)
    good = {
        f"uploads/{'a' * 32}/x": b"x",
        f"lfs-objects/{hashlib.sha256(b'a').hexdigest()}": b"a",
        "avatar/x": b"y",
    }
    with pytest.raises(ArchiveInvalid, match=words):
        load({name: records for name, records in made.items() if name != "issues"}, **{**good, **files})
    assert everything(load.instance) == before


def test_paths_that_cannot_be(load: Loader, tmp_path: Path) -> None:
    loaded = load({"labels": [LABEL]})
    before = everything(load.instance)
    archive = load.archive({})
    with pytest.raises(DestinationUnusable, match="exists already"):
        load_archive(load.instance, archive, loaded.report.project)
    with pytest.raises(DestinationUnusable):
        load_archive(load.instance, archive, f"{loaded.report.project}/below")
    for path in ("alone", "a//b", "../b", "a/b.git", ""):
        with pytest.raises(UsageError):
            load_archive(load.instance, archive, path)
    with pytest.raises(NotFound):
        load_archive(load.instance, tmp_path / "none.tar.gz", "a/b")
    assert everything(load.instance) == before


def test_two_loads_at_once(load: Loader) -> None:
    archive = load.archive(Maker(2, size=4).relations())
    with ThreadPoolExecutor(2) as pool:
        reports = list(
            pool.map(lambda n: load_archive(load.instance, archive, f"{load.prefix}/at-once-{n}"), range(2))
        )
    assert reports[0].project_id != reports[1].project_id
    assert reports[0].rows == reports[1].rows
    with pytest.raises(DestinationUnusable):
        load_archive(load.instance, archive, f"{load.prefix}/at-once-0")


def test_progress_is_told_relation_by_relation(load: Loader) -> None:
    heard: list[events.Event] = []
    archive = load.archive({"labels": [LABEL, LABEL], "boards": []})
    load_archive(load.instance, archive, f"{load.prefix}/heard", listen=heard.append)
    told = [(event.relation, event.lines) for event in heard if isinstance(event, events.PartFinished)]
    assert told == [("labels", 2), ("boards", 0)]


def test_uploads_and_avatar_have_rows_like_gitlabs(load: Loader) -> None:
    loaded = load(
        {},
        **{
            f"uploads/{'a' * 32}/ä.png": b"12345",
            "uploads/plain.txt": b"",
            "avatar/deep/down/me.png": b"face",
        },
    )
    rows = loaded.rows(
        "SELECT path, size, checksum, uploader, secret FROM uploads WHERE model_id = :id ORDER BY path"
    )
    digest = hashlib.sha256(b"12345").hexdigest()
    assert (f"{'a' * 32}/ä.png", 5, digest, "FileUploader", "a" * 32) in rows
    assert ("plain.txt", 0, hashlib.sha256(b"").hexdigest(), "FileUploader", None) in rows
    assert loaded.rows("SELECT avatar FROM projects WHERE id = :id") == [("me.png",)]
    assert load.instance.storage.avatar(loaded.id, "me.png").read_bytes() == b"face"
    project = load.instance.project(loaded.report.project)
    assert project is not None
    upload = load.instance.storage.upload(project.disk_path, "a" * 32, "ä.png")
    assert upload.read_bytes() == b"12345"
    assert upload.stat().st_mode & 0o777 == 0o600
    assert any("has no secret" in warning for warning in loaded.report.warnings)


def test_what_a_killed_load_left_is_undone_by_the_next(load: Loader) -> None:
    place = load.instance.storage.repository("@hashed/aa/bb/killed")
    place.mkdir(parents=True)
    kept = load.instance.storage.repository("@hashed/aa/bb/kept")
    kept.mkdir(parents=True)
    loads = load.instance.home.embedded / "loads"
    existing = load({}).id
    for name, project_id, path in (("load-killed", 10**12, place), ("load-done", existing, kept)):
        (loads / name / "unpack-x").mkdir(parents=True)
        (loads / name / "lock").touch()
        (loads / name / "made").write_text(f"{project_id} {path}\n")
    load({"labels": [LABEL]})
    assert not place.exists()
    assert kept.exists(), "it was killed after its project was there for good"
    assert list(loads.iterdir()) == []
    kept.rmdir()


def test_an_epic_that_changed_meanwhile_is_kept_once(load: Loader) -> None:
    epics = [{"id": 33, "title": "e", "total_opened_issue_count": count} for count in (1, 2)]
    loaded = load({"issues": [{"project_id": 5, "epic_issue": {"epic": epic}} for epic in epics]})
    rows = loaded.rows(
        "SELECT e.id, total_opened_issue_count FROM epics e JOIN epic_issues x ON x.epic_id = e.id"
        " JOIN issues i ON i.id = x.issue_id WHERE i.project_id = :id"
    )
    assert rows == [(33 + loaded.id - 5, 1)] * 2
    assert any("epic 33 is shown with other values" in warning for warning in loaded.report.warnings)
