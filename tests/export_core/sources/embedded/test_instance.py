"""The embedded instance: tables on demand, groups and project shells, deletion of all that is a project's."""

import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest

from export_core.errors import DestinationUnusable, NotFound, SourceUnavailable, UsageError
from export_core.gitlab import schema
from export_core.gitlab.tree import RELATIONS
from export_core.sources.embedded import database
from export_core.sources.embedded.deletion import delete_rows
from export_core.sources.embedded.instance import EmbeddedInstance
from export_core.sources.embedded.namespaces import create_project_shell
from export_core.workspace import Home

ROOT = Path(__file__).parents[4]


def make(instance, path):
    with instance.connect() as connection:
        return create_project_shell(connection, path)


def test_tables_are_there_in_the_first_session_of_many_processes(tmp_path):
    program = (
        "import sys; from pathlib import Path\n"
        "from export_core.sources.embedded.instance import EmbeddedInstance\n"
        "from export_core.workspace import Home\n"
        "instance = EmbeddedInstance(Home(Path(sys.argv[1])))\n"
        "with instance.session(), instance.connect() as connection:\n"
        "    print(connection.execute('SELECT count(*) FROM work_item_types').fetchone()[0])\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "home")]
    runs = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
        for _ in range(4)
    ]
    for run in runs:
        out, err = run.communicate(timeout=60)
        assert (run.returncode, out) == (0, "9\n"), err


def test_a_changed_declaration_completes_the_tables_and_keeps_the_rows(embedded):
    with embedded.connect() as connection:
        connection.execute("ALTER TABLE zoom_meetings DROP COLUMN url")
        connection.execute("UPDATE packmule_instance SET declaration = 'that of an older packmule'")
        connection.execute("INSERT INTO zoom_meetings (id, issue_id) VALUES (-5, -5)")
    database.prepare(embedded.server)
    with embedded.connect() as connection:
        row = connection.execute("DELETE FROM zoom_meetings WHERE id = -5 RETURNING issue_id, url").fetchone()
    assert row == (-5, None)


@pytest.mark.parametrize(
    ("code", "expected"),
    [("53100", SourceUnavailable), ("57P01", SourceUnavailable), ("P0001", psycopg.errors.RaiseException)],
)
def test_a_full_disk_and_a_server_that_ends_are_no_unexpected_faults(embedded, code, expected):
    """53100 is what PostgreSQL says when it cannot extend a file, 57P01 when it shuts down."""
    with pytest.raises(expected), embedded.session(), embedded.connect() as connection:
        connection.execute(f"DO $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '{code}'; END $$")


def test_storage_directories_exist_and_are_private(embedded):
    storage = embedded.storage
    for place in (storage.repositories, storage.uploads, storage.shared):
        assert place.stat().st_mode & 0o077 == 0


def test_a_shell_has_what_gitlab_finds_a_project_by(embedded):
    shell = make(embedded, "shells/sub/first")
    with embedded.connect() as connection:
        rows = connection.execute(
            "SELECT r.path, r.source_type, n.type, n.path, n.traversal_ids, parent.path FROM routes r"
            " JOIN namespaces n ON n.id = r.namespace_id"
            " LEFT JOIN namespaces parent ON parent.id = n.parent_id"
            " WHERE r.path LIKE 'shells%' ORDER BY r.path"
        ).fetchall()
        project = connection.execute(
            "SELECT p.path, p.namespace_id, p.project_namespace_id, p.storage_version, r.disk_path, s.name"
            " FROM projects p JOIN project_repositories r ON r.project_id = p.id"
            " JOIN shards s ON s.id = r.shard_id WHERE p.id = %s",
            (shell.project_id,),
        ).fetchone()
    top, sub = shell.traversal_ids
    own = shell.project_namespace_id
    assert rows == [
        ("shells", "Namespace", "Group", "shells", [top], None),
        ("shells/sub", "Namespace", "Group", "sub", [top, sub], "shells"),
        ("shells/sub/first", "Project", "Project", "first", [top, sub, own], "sub"),
    ]
    assert project == ("first", sub, own, 2, shell.disk_path, "default")
    assert shell.group_id == sub
    assert embedded.project_exists("shells/sub/first")
    assert not embedded.project_exists("shells/sub")


def test_a_second_project_uses_the_groups_that_exist(embedded):
    first, second = make(embedded, "again/sub/one"), make(embedded, "again/sub/two")
    assert first.traversal_ids == second.traversal_ids
    assert [p.path for p in embedded.projects() if p.path.startswith("again/")] == [
        "again/sub/one",
        "again/sub/two",
    ]


def test_a_path_that_is_taken_or_holds_a_project_is_refused(embedded):
    make(embedded, "taken/project")
    for path in ("taken/project", "taken/project/below"):
        with pytest.raises(DestinationUnusable):
            make(embedded, path)
    assert not embedded.project_exists("taken/project/below")


@pytest.mark.parametrize(
    "path", ["alone", "", "/", "a//b", "a/-b", "a/../b", "a/b.git", "a/b c", "a/b.", "a/b\x00"]
)
def test_a_path_that_gitlab_would_not_take_is_refused(embedded, path):
    with pytest.raises(UsageError):
        make(embedded, path)


def test_two_imports_at_once_into_one_new_group_make_one_group(embedded):
    """The second waits for the first to end, and then uses its group."""
    first = embedded.connect()
    one = create_project_shell(first, "race/one")
    made = []
    thread = threading.Thread(target=lambda: made.append(make(embedded, "race/two")))
    thread.start()
    thread.join(0.3)
    assert not made
    first.commit()
    thread.join(10)
    first.close()
    assert made[0].traversal_ids == one.traversal_ids
    with embedded.connect() as connection:
        assert connection.execute("SELECT count(*) FROM namespaces WHERE path = 'race'").fetchone() == (1,)


def test_an_import_that_is_rolled_back_leaves_the_path_free(embedded):
    with embedded.connect() as connection:
        create_project_shell(connection, "undone/project")
        connection.rollback()
    make(embedded, "undone/project")


def fill(connection, shell):
    """One row in every table of the tree, tied to the project as the tree says; ids by table."""
    ids = {"projects": shell.project_id}

    def walk(node, parent):
        if node.belongs_to or node.through is not None:
            return
        values = {node.child_key: ids[parent], **dict(node.where)}
        table = schema.tables()[node.table]
        for column in table.primary_key:
            values.setdefault(column, 100)
            if column == "id":
                del values["id"]
        if "partition_id" in table.primary_key:
            values["partition_id"] = 100
        names = ", ".join(f'"{name}"' for name in values)
        returning = "id" if "id" in table.columns else "1"
        row = connection.execute(
            f"INSERT INTO {node.table} ({names}) VALUES ({', '.join(['%s'] * len(values))})"
            f" ON CONFLICT DO NOTHING RETURNING {returning}",
            list(values.values()),
        ).fetchone()
        if row and "id" in table.columns:
            ids[node.table] = row[0]
        for child in node.children:
            walk(child, node.table)

    for node in RELATIONS:
        walk(node, "projects")


def count_rows(connection):
    query = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM {name}" for name in schema.tables())
    return dict(connection.execute(query).fetchall())


def test_deleting_a_project_deletes_its_rows_in_every_table_and_no_others(embedded):
    make(embedded, "kept/project")
    with embedded.connect() as connection:
        keep = connection.execute("SELECT id FROM projects WHERE path = 'project' LIMIT 1").fetchone()[0]
        connection.execute("INSERT INTO events (project_id) VALUES (%s)", (keep,))
        before = count_rows(connection)
        shell = create_project_shell(connection, "kept/gone")
        fill(connection, shell)
        full = count_rows(connection)
        touched = {table for table in full if full[table] > before[table]}
        assert len(touched) > 60
        delete_rows(connection, shell.project_id)
        assert count_rows(connection) == before
        route = connection.execute("SELECT FROM routes WHERE path = 'kept/gone'").fetchone()
        assert route is None
        connection.rollback()


def test_deleting_a_project_removes_its_files_but_not_those_of_others(embedded):
    shell, other = make(embedded, "files/gone"), make(embedded, "files/kept")
    storage = embedded.storage
    own, shared_oid = "11" * 32, "22" * 32
    files = [
        storage.repository(shell.disk_path) / "HEAD",
        storage.wiki(shell.disk_path) / "HEAD",
        storage.designs(shell.disk_path) / "HEAD",
        storage.upload(shell.disk_path, "ab" * 16, "a.txt"),
        storage.avatar(shell.project_id, "logo.png"),
        storage.lfs_object(own),
    ]
    kept = [storage.repository(other.disk_path) / "HEAD", storage.lfs_object(shared_oid)]
    for path in (*files, *kept):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    with embedded.connect() as connection:
        for oid, projects in ((own, [shell]), (shared_oid, [shell, other])):
            row = connection.execute(
                "INSERT INTO lfs_objects (oid) VALUES (%s) RETURNING id", (oid,)
            ).fetchone()
            for project in projects:
                connection.execute(
                    "INSERT INTO lfs_objects_projects (lfs_object_id, project_id) VALUES (%s, %s)",
                    (row[0], project.project_id),
                )
    embedded.delete_project("files/gone")
    assert [path for path in files if path.exists()] == []
    assert [path for path in kept if not path.exists()] == []
    assert not embedded.project_exists("files/gone")
    with pytest.raises(NotFound):
        embedded.delete_project("files/gone")


def test_an_instance_is_a_small_value(tmp_path):
    import pickle

    instance = EmbeddedInstance(Home(tmp_path))
    assert pickle.loads(pickle.dumps(instance)) == instance
