"""The tables of the job store, as steps from one version to the next (SQLite's ``user_version``)."""

from __future__ import annotations

import sqlite3

from export_core.errors import StoreUnusable

_VERSION_1 = (
    """
    CREATE TABLE jobs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        project TEXT NOT NULL,
        source TEXT NOT NULL,
        strategy TEXT NOT NULL,
        request TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('queued', 'started', 'finished', 'failed', 'cancelled')),
        phase TEXT,
        created_at TEXT NOT NULL,
        started_at TEXT,
        finished_at TEXT,
        heartbeat_at TEXT,
        owner_host TEXT,
        owner_pid INTEGER,
        owner_started REAL,
        pending_request TEXT,
        attempts INTEGER NOT NULL DEFAULT 0,
        failures INTEGER NOT NULL DEFAULT 0,
        retry_at TEXT,
        plan TEXT,
        archive_path TEXT,
        archive_size INTEGER,
        archive_sha256 TEXT,
        archive_in_store INTEGER NOT NULL DEFAULT 0,
        archive_removed_at TEXT,
        error_kind TEXT,
        error_message TEXT,
        error_hint TEXT,
        fingerprint TEXT,
        reused_from INTEGER,
        delivery TEXT NOT NULL DEFAULT '{}'
    )
    """,
    "CREATE INDEX jobs_by_project ON jobs (project, id)",
    "CREATE INDEX jobs_by_status ON jobs (status, id)",
    """
    CREATE TABLE parts (
        job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        relation TEXT NOT NULL,
        number INTEGER NOT NULL,
        position INTEGER NOT NULL,
        member TEXT,
        payload TEXT NOT NULL,
        weight INTEGER NOT NULL,
        expected_lines INTEGER,
        deferred INTEGER NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('queued', 'started', 'finished', 'failed')),
        snapshot_number INTEGER,
        started_at TEXT,
        finished_at TEXT,
        seconds REAL NOT NULL DEFAULT 0,
        lines INTEGER NOT NULL DEFAULT 0,
        bytes INTEGER NOT NULL DEFAULT 0,
        times_finished INTEGER NOT NULL DEFAULT 0,
        result TEXT,
        error TEXT,
        UNIQUE (job_id, relation, number)
    )
    """,
    """
    CREATE TABLE snapshots (
        job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        token TEXT NOT NULL,
        taken_at TEXT NOT NULL,
        details TEXT NOT NULL,
        PRIMARY KEY (job_id, number)
    )
    """,
    """
    CREATE TABLE warnings (
        id INTEGER PRIMARY KEY,
        job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        text TEXT NOT NULL,
        UNIQUE (job_id, text)
    )
    """,
    """
    CREATE TABLE checkpoints (
        job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (job_id, name)
    )
    """,
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_VERSION_1,)
"""``MIGRATIONS[n]`` leads from version n to n + 1. Only ever appended to."""


def version(connection: sqlite3.Connection) -> int:
    """The version of an open store; 0 for a new file."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the store to the newest version. Runs inside the caller's write transaction."""
    current = version(connection)
    if current > len(MIGRATIONS):
        raise StoreUnusable(
            f"the job store has version {current}, this packmule knows up to {len(MIGRATIONS)}",
            hint="Use the packmule that wrote it, or set PACKMULE_HOME to another directory.",
        )
    for step in MIGRATIONS[current:]:
        for statement in step:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
