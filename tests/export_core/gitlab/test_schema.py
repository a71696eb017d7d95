"""The declaration of tables against GitLab's own columns, and the tables that PostgreSQL makes of it."""

import csv

import pytest

from export_core.gitlab import ddl, schema
from export_core.gitlab.tree import KEPT_ATTRIBUTES, RELATIONS


@pytest.fixture(scope="module")
def facts(shared):
    path = shared / "gitlab" / "columns.tsv"
    if not path.exists():
        pytest.skip("no columns.tsv")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_every_column_is_declared_as_gitlab_has_it(facts):
    expected = [
        (r["table"], r["column"], r["type"], r["nullable"] == "yes", r["default"] or None) for r in facts
    ]
    declared = [
        (table.name, name, column.type, column.nullable, column.default)
        for table in schema.tables().values()
        for name, column in table.columns.items()
    ]
    assert len(expected) > 1500
    assert declared == expected


def test_primary_keys_are_gitlabs(facts):
    keys = {}
    for row in facts:
        if row["primary_key"]:
            keys.setdefault(row["table"], {})[int(row["primary_key"])] = row["column"]
    expected = {table: tuple(columns[n] for n in sorted(columns)) for table, columns in keys.items()}
    assert {table.name: table.primary_key for table in schema.tables().values()} == expected


def test_types_are_those_of_the_catalog():
    for table, column, kind in (
        ("notes", "note", "text"),
        ("badges", "name", "character varying(255)"),
        ("ar_internal_metadata", "created_at", "timestamp(6) without time zone"),
    ):
        assert schema.tables()[table].columns[column].type == kind


def test_postgresql_made_the_declared_columns(embedded):
    """The catalog of the real server, not our own text, says what the tables are."""
    with embedded.connect() as connection:
        rows = connection.execute(
            "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod),"
            " pg_get_expr(d.adbin, d.adrelid) FROM pg_class c"
            " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
            " LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
        ).fetchall()
    made = {(table, column): (type_name, default) for table, column, type_name, default in rows}
    for table in schema.tables().values():
        for name, column in table.columns.items():
            default = column.default
            if default is None and name == "id" and table.assigned:
                default = f"nextval('{table.assigned}'::regclass)"
            assert made.pop((table.name, name)) == (column.type, default), (table.name, name)
    own = {(table, "packmule_kept") for table in KEPT_ATTRIBUTES} | {("packmule_instance", "declaration")}
    assert set(made) == own


def test_partitioned_tables_are_partitioned_as_in_gitlab(embedded):
    with embedded.connect() as connection:
        rows = connection.execute(
            "SELECT partrelid::regclass::text, pg_get_partkeydef(partrelid),"
            " (SELECT count(*) FROM pg_inherits WHERE inhparent = partrelid) FROM pg_partitioned_table"
        ).fetchall()
    assert {name: (key, count) for name, key, count in rows} == {
        "p_ci_pipelines": ("LIST (partition_id)", 1),
        "p_ci_stages": ("LIST (partition_id)", 1),
        "p_ci_builds": ("LIST (partition_id)", 1),
        "p_ci_builds_metadata": ("LIST (partition_id)", 1),
        "p_ci_job_definitions": ("LIST (partition_id)", 1),
        "p_ci_job_definition_instances": ("LIST (partition_id)", 1),
        "uploads_9ba88c4165": ("LIST (model_type)", 1),
        "merge_request_commits_metadata": ("RANGE (project_id)", 1),
        "work_item_descriptions": ("HASH (namespace_id)", 64),
    }


def test_every_join_of_the_tree_is_served_by_an_index(embedded):
    with embedded.connect() as connection:
        rows = connection.execute(
            "SELECT i.indrelid::regclass::text, a.attname FROM pg_index i"
            " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
        ).fetchall()
    first_columns = set(rows)
    for relation in RELATIONS:
        for path, node in relation.walk():
            if node.through is None:
                assert (node.table, node.child_key) in first_columns, path
            else:
                assert (node.through.table, node.through.to_parent) in first_columns, path


def test_ids_come_from_sequences_that_postgresql_finds(embedded):
    with embedded.connect() as connection:
        for table in schema.tables().values():
            sequence = table.assigned or ("id" in table.columns and table.columns["id"].sequence)
            if sequence:
                row = connection.execute("SELECT pg_get_serial_sequence(%s, 'id')", (table.name,)).fetchone()
                assert row == (f"public.{sequence}",)


def test_a_null_where_gitlab_allows_none_survives_and_a_key_stays_required(embedded):
    import psycopg

    with embedded.connect() as connection:
        row = connection.execute(
            "INSERT INTO snippets (id, title, visibility_level) VALUES (-1, NULL, NULL)"
            " RETURNING visibility_level"
        ).fetchone()
        assert row == (None,)
        connection.rollback()
        with pytest.raises(psycopg.errors.NotNullViolation):
            connection.execute("INSERT INTO snippets (id) VALUES (NULL)")


def test_statements_of_an_upgrade_add_what_is_missing(embedded):
    with embedded.connect() as connection:
        connection.execute("ALTER TABLE notes DROP COLUMN position")
        connection.execute("DROP TABLE suggestions")
        connection.execute("DROP INDEX ix_notes_noteable_id_noteable_type")
        connection.execute(";".join(["SET LOCAL client_min_messages = warning", *ddl.upgrade_statements()]))
        found = connection.execute(
            "SELECT to_regclass('suggestions') IS NOT NULL,"
            " to_regclass('ix_notes_noteable_id_noteable_type') IS NOT NULL,"
            " EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'notes'::regclass AND attname = 'position')"
        ).fetchone()
        connection.rollback()
    assert found == (True, True, True)
