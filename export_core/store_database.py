"""The SQLite file under the job store: how it is opened, and how transactions are begun and repeated."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from export_core import store_reserve, store_schema
from export_core.errors import StoreUnusable

Result = TypeVar("Result")
Action = Callable[[sqlite3.Connection], Result]

BUSY_TIMEOUT_SECONDS = 30.0
"""How long SQLite itself waits for another process's transaction; ours last milliseconds."""
RETRY_SECONDS = 60.0
"""How long a transaction is tried again where SQLite gives up without waiting (see ``_is_busy``)."""


class Database:
    """One connection, shared by all threads of the process under a lock; opened at first use."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.may_use_reserve = False
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None

    def read(self, action: Action[Result]) -> Result:
        """Run an action that only reads, on one consistent view of the store."""
        return self._run("BEGIN", action, "NORMAL")

    def write(self, action: Action[Result], *, durable: bool = True) -> Result:
        """Run an action in a write transaction, all or nothing.

        ``durable``: what it wrote survives a power cut once this returns. Without it a power cut may take
        back the last transactions, never damage the file; a kill of the process takes back nothing.
        """
        return self._run("BEGIN IMMEDIATE", action, "FULL" if durable else "NORMAL")

    def close(self) -> None:
        """Give the connection back. The next use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _run(self, begin: str, action: Action[Result], synchronous: str) -> Result:
        def transaction() -> Result:
            connection = self._open()
            connection.execute(f"PRAGMA synchronous = {synchronous}")
            return _transaction(connection, begin, action)

        with self._lock:
            try:
                return _patiently(transaction)
            except sqlite3.IntegrityError:
                raise
            except sqlite3.Error as exc:
                if self.may_use_reserve and _is_full(exc) and store_reserve.give_up(self.path):
                    return self._run(begin, action, synchronous)
                raise self._unusable(exc) from exc

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            try:
                _make_private(self.path)
            except OSError as exc:
                raise self._unusable(exc) from exc
            self._connection = _connect(self.path)
            store_reserve.keep(self.path)
        return self._connection

    def _unusable(self, exc: Exception) -> StoreUnusable:
        return StoreUnusable(
            f"the job store {self.path} cannot be used: {exc}",
            hint="Look at the rights and the free room of its directory, or set another PACKMULE_HOME.",
        )


def _make_private(path: Path) -> None:
    """Create the file for its owner only: it holds tokens. SQLite gives ``-wal`` and ``-shm`` its mode."""
    for directory in reversed(path.parents):
        if not directory.exists():
            directory.mkdir(mode=0o700, exist_ok=True)
            if directory == path.parent:
                directory.chmod(0o700)  # whatever the umask took away
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        if store_schema.version(connection) != len(store_schema.MIGRATIONS):
            connection.execute("PRAGMA journal_mode = WAL")
            _transaction(connection, "BEGIN IMMEDIATE", store_schema.migrate)
    except BaseException:
        connection.close()
        raise
    return connection


def _transaction(connection: sqlite3.Connection, begin: str, action: Action[Result]) -> Result:
    connection.execute(begin)
    try:
        result = action(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


def _patiently(transaction: Callable[[], Result]) -> Result:
    try:
        return transaction()
    except sqlite3.OperationalError as exc:
        if not _is_busy(exc):
            raise
    import stamina  # only when it is needed: it costs a tenth of a second

    retrying = stamina.RetryingCaller(
        attempts=None, timeout=RETRY_SECONDS, wait_initial=0.01, wait_max=0.5, wait_jitter=0.1
    )
    return retrying(_is_busy, transaction)


def _is_full(exc: Exception) -> bool:
    """Whether the disk is full; where it is SQLite's shared memory that does not fit, it says IOERR."""
    return getattr(exc, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}


def _is_busy(exc: Exception) -> bool:
    """Whether another process was in the way.

    SQLite's own waiting does not cover the change to WAL, the recovery after a kill, and the removal of
    the WAL by the last process that leaves (BUSY, LOCKED and PROTOCOL with their extended codes).
    """
    code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
    return code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
