"""The database of the embedded instance: made once, brought up to date when the declared tables change."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import psycopg

from export_core.gitlab import ddl, enums, schema, tree
from export_core.sources.embedded.server import DATABASE, EmbeddedServer

ORGANIZATION_ID = 1
SHARD_ID = 1
"""The repository storage ``default``."""
ROOT_USER_ID = 1
"""The administrator ``root``, creator of what nobody else created."""

_DECLARATION = (Path(schema.__file__).with_name("schema.txt"), Path(ddl.__file__), Path(tree.__file__))
_SCHEMA_LOCK = 0x7061636B
"""Key of the advisory lock under which tables are made ("pack")."""


def prepare(server: EmbeddedServer) -> None:
    """Make database and tables unless they are there. Safe in several processes at once."""
    digest = _digest()
    try:
        connection = psycopg.connect(server.dsn())
    except psycopg.OperationalError:
        _create_database(server)
        connection = psycopg.connect(server.dsn())
    with connection:
        if _recorded(connection) != digest:
            _make_tables(connection, digest)


def _digest() -> str:
    """Changes whenever the declared tables may have changed."""
    files = (*_DECLARATION, Path(__file__))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def _create_database(server: EmbeddedServer) -> None:
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (_SCHEMA_LOCK,))
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
        if found is None:
            connection.execute(f"CREATE DATABASE {DATABASE}")


def _recorded(connection: psycopg.Connection[Any]) -> str | None:
    if connection.execute("SELECT to_regclass('packmule_instance')").fetchone() == (None,):
        return None
    row = connection.execute("SELECT declaration FROM packmule_instance").fetchone()
    return row[0] if row else None


def _make_tables(connection: psycopg.Connection[Any], digest: str) -> None:
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))
    recorded = _recorded(connection)
    if recorded == digest:  # another process was faster
        return
    statements = ddl.create_statements() if recorded is None else ddl.upgrade_statements()
    connection.execute(";\n".join(["SET LOCAL client_min_messages = warning", *statements]))
    connection.execute("CREATE TABLE IF NOT EXISTS packmule_instance (declaration text NOT NULL)")
    connection.execute("DELETE FROM packmule_instance")
    connection.execute("INSERT INTO packmule_instance VALUES (%s)", (digest,))
    _seed(connection)


def _seed(connection: psycopg.Connection[Any]) -> None:
    """The rows that every GitLab has from the start."""
    connection.execute(
        "INSERT INTO organizations (id, created_at, updated_at, name, path, visibility_level)"
        " VALUES (%s, now(), now(), 'Default', 'default', 20) ON CONFLICT DO NOTHING",
        (ORGANIZATION_ID,),
    )
    connection.execute(
        "INSERT INTO shards (id, name) VALUES (%s, 'default') ON CONFLICT DO NOTHING", (SHARD_ID,)
    )
    connection.execute(
        "INSERT INTO users (id, email, name, username, admin, projects_limit, state, created_at, updated_at,"
        " organization_id) VALUES (%s, 'admin@example.com', 'Administrator', 'root', true, 100000, 'active',"
        " now(), now(), %s) ON CONFLICT DO NOTHING",
        (ROOT_USER_ID, ORGANIZATION_ID),
    )
    # GitLab 18 fixes the ids of the system's own types; names are the words in title case.
    for base_type, word in enums.ENUMS["work_item_base_type"].words.items():
        connection.execute(
            "INSERT INTO work_item_types (id, base_type, name, icon_name, created_at, updated_at, correct_id)"
            " VALUES (%s, %s, %s, %s, now(), now(), %s) ON CONFLICT DO NOTHING",
            (
                base_type + 1,
                base_type,
                word.replace("_", " ").capitalize(),
                f"issue-type-{word}",
                base_type + 1,
            ),
        )
    for sequence in ("organizations_id_seq", "shards_id_seq", "users_id_seq"):
        table = sequence.removesuffix("_id_seq")
        connection.execute(f"SELECT setval('{sequence}', (SELECT max(id) FROM {table}))")
