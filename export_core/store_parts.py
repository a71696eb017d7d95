"""SQL of plans, parts, snapshots, warnings and checkpoints. Every function works inside a transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from export_core.errors import JobConflict
from export_core.job import PartStatus, SnapshotInfo
from export_core.source import Part, PartKey, Plan
from export_core.store_rows import part_from_row, to_json

"""Relation and number."""

PART_SUMS = """
    SELECT job_id, relation, count(*) AS parts, sum(lines) AS lines, sum(bytes) AS bytes,
        sum(status = 'finished') AS finished, sum(status = 'started') AS started,
        sum(status = 'failed') AS failed, min(started_at) AS first_start, max(finished_at) AS last_finish,
        group_concat(DISTINCT snapshot_number) FILTER (WHERE status = 'finished') AS snapshots
    FROM parts WHERE job_id IN ({jobs}) GROUP BY job_id, relation ORDER BY job_id, min(position)
"""

_INSERT_PART = """
    INSERT INTO parts (job_id, position, relation, number, member, payload, weight, expected_lines, deferred,
        status) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'queued')
"""


def save_plan(db: sqlite3.Connection, job_id: int, plan: Plan) -> None:
    """Store a new plan in place of an earlier one, with every part queued."""
    outline = {"directories": plan.directories, "relations": plan.relations, "warnings": plan.warnings}
    db.execute("DELETE FROM parts WHERE job_id = ?", (job_id,))
    db.execute("UPDATE jobs SET plan = ? WHERE id = ?", (to_json(outline), job_id))
    db.executemany(
        _INSERT_PART, ((job_id, place, *_part_values(part)) for place, part in enumerate(plan.parts))
    )
    for text in plan.warnings:
        add_warning(db, job_id, text)


def _part_values(part: Part) -> tuple[Any, ...]:
    payload = to_json(part.payload)
    return (part.relation, part.number, part.member, payload, part.weight, part.lines, part.deferred)


def load_plan(db: sqlite3.Connection, job_id: int) -> Plan | None:
    """The stored plan; None before it was made."""
    row = db.execute("SELECT plan FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if row is None or row["plan"] is None:
        return None
    parts = db.execute("SELECT * FROM parts WHERE job_id = ? ORDER BY position", (job_id,))
    outline = {name: tuple(values) for name, values in json.loads(row["plan"]).items()}
    return Plan(parts=tuple(part_from_row(part) for part in parts), **outline)


def add_snapshot(db: sqlite3.Connection, job_id: int, snapshot: SnapshotInfo) -> None:
    """Store a snapshot, in place of an earlier one of the same number."""
    db.execute(
        "INSERT OR REPLACE INTO snapshots (job_id, number, token, taken_at, details) VALUES (?, ?, ?, ?, ?)",
        (job_id, snapshot.number, snapshot.token, snapshot.taken_at, to_json(snapshot.details)),
    )


def add_warning(db: sqlite3.Connection, job_id: int, text: str) -> None:
    """Store a warning once, however often a resumed job meets it."""
    db.execute("INSERT OR IGNORE INTO warnings (job_id, text) VALUES (?, ?)", (job_id, text))


def move_part(
    db: sqlite3.Connection, job_id: int, key: PartKey, target: PartStatus, values: Mapping[str, Any]
) -> None:
    """Take a part from the state before ``target`` to it; JobConflict when it is not in that state."""
    before = PartStatus.QUEUED if target is PartStatus.STARTED else PartStatus.STARTED
    columns = "".join(f", {name} = :{name}" for name in values)
    finished = ", times_finished = times_finished + 1" if target is PartStatus.FINISHED else ""
    done = db.execute(
        f"UPDATE parts SET status = :target{columns}{finished}"
        " WHERE job_id = :job_id AND relation = :relation AND number = :number AND status = :before",
        {
            "job_id": job_id,
            "relation": key[0],
            "number": key[1],
            "target": target,
            "before": before,
            **values,
        },
    )
    if done.rowcount != 1:
        raise JobConflict(
            f"part {key[1]} of {key[0]} of job {job_id} is not {before} and cannot become {target}"
        )


def requeue_parts(db: sqlite3.Connection, job_id: int, keys: Iterable[PartKey] | None) -> int:
    """Put back the named parts, whatever their state, or (None) every started and failed one."""
    forget = (
        "UPDATE parts SET status = 'queued', snapshot_number = NULL, started_at = NULL, finished_at = NULL,"
        " seconds = 0, lines = 0, bytes = 0, result = NULL, error = NULL WHERE job_id = ?"
    )
    if keys is None:
        return db.execute(f"{forget} AND status IN ('started', 'failed')", (job_id,)).rowcount
    named = ((job_id, relation, number) for relation, number in keys)
    return db.executemany(f"{forget} AND relation = ? AND number = ?", named).rowcount


def update_part(db: sqlite3.Connection, job_id: int, part: Part) -> None:
    """Store what a new snapshot expects of a part; its place in the plan stays."""
    done = db.execute(
        "UPDATE parts SET member = ?, payload = ?, weight = ?, expected_lines = ?, deferred = ?"
        " WHERE job_id = ? AND relation = ? AND number = ?",
        (*_part_values(part)[2:], job_id, part.relation, part.number),
    )
    if done.rowcount != 1:
        raise JobConflict(f"job {job_id} has no part {part.number} of {part.relation}")


def finished_parts(db: sqlite3.Connection, job_id: int) -> dict[PartKey, dict[str, Any]]:
    """The results of all finished parts, in the order of the plan."""
    rows = db.execute(
        "SELECT relation, number, result FROM parts WHERE job_id = ? AND status = 'finished'"
        " ORDER BY position",
        (job_id,),
    )
    return {(row["relation"], row["number"]): json.loads(row["result"]) for row in rows}


def forget_work(db: sqlite3.Connection, job_id: int) -> None:
    """Drop from a finished job's parts what only work on them needs: ids and files to read, results.

    They are most of the store: ten bytes for every exported row. SQLite uses the room for the next jobs.
    """
    db.execute("UPDATE parts SET payload = '{}', result = NULL WHERE job_id = ?", (job_id,))


def load_checkpoint(db: sqlite3.Connection, job_id: int, name: str) -> dict[str, Any]:
    """A checkpoint's last value; empty before the first."""
    row = db.execute("SELECT value FROM checkpoints WHERE job_id = ? AND name = ?", (job_id, name)).fetchone()
    return {} if row is None else dict(json.loads(row["value"]))


def save_checkpoint(db: sqlite3.Connection, job_id: int, name: str, value: Mapping[str, Any]) -> None:
    """Replace a checkpoint; an empty value removes it."""
    if not value:
        db.execute("DELETE FROM checkpoints WHERE job_id = ? AND name = ?", (job_id, name))
        return
    db.execute(
        "INSERT OR REPLACE INTO checkpoints (job_id, name, value) VALUES (?, ?, ?)",
        (job_id, name, to_json(value)),
    )


def forget(db: sqlite3.Connection, job_id: int, *, keep_delivery: bool) -> None:
    """Drop plan, parts, snapshots, warnings and checkpoints of a job."""
    for table in ("parts", "snapshots", "warnings"):
        db.execute(f"DELETE FROM {table} WHERE job_id = ?", (job_id,))
    kept = "delivery" if keep_delivery else ""
    db.execute("DELETE FROM checkpoints WHERE job_id = ? AND name != ?", (job_id, kept))
    db.execute("UPDATE jobs SET plan = NULL, fingerprint = NULL WHERE id = ?", (job_id,))
