"""Connections to GitLab's databases: sessions set up for reading, one frozen snapshot for all of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from export_core.errors import ExportFailed, SourceInterrupted, SourceUnavailable
from export_core.sources.gitlab_db.conninfo import scrubbed
from export_core.sources.gitlab_db.texts import text

if TYPE_CHECKING:
    import psycopg

    from export_core.sources.gitlab_db.catalog import Catalog

Connection = "psycopg.Connection[Any]"
_TEXT_TYPES = ("text", "varchar", "json")

LOCK_SECONDS = 10
"""Who wants to alter or drop a table waits for us, and our further readers wait for them: for ever, as
PostgreSQL cannot see that our connections belong together. So we give way, but only after the time in which
GitLab's own migrations give up and try again later."""

# GitLab's defaults kill idle holders after a minute and long statements after 15 s.
_SESSION = (
    "statement_timeout=0",
    "idle_in_transaction_session_timeout=0",
    "timezone=UTC",
    "datestyle=ISO",
    "client_encoding=UTF8",
    "jit=off",
    "max_parallel_workers_per_gather=0",
    "work_mem=64MB",
    # With grouped children these make the plans independent of statistics, which a fresh import lacks.
    "plan_cache_mode=force_generic_plan",
    "enable_seqscan=off",
    "enable_nestloop=off",
    "bytea_output=hex",
    "extra_float_digits=1",
    "application_name=packmule",
)
_WITH_TRANSACTION_TIMEOUT = 170000
"""Servers from this version on know the setting; older ones refuse a connection that names it."""
_LOCKABLE = """
SELECT c.oid::regclass::text FROM pg_class c
WHERE c.relkind IN ('r', 'p') AND c.relname = ANY(%s) AND pg_table_is_visible(c.oid)
AND has_table_privilege(c.oid, 'SELECT') ORDER BY c.relname
"""
_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


def session_options() -> str:
    """The settings of a session for reading, as libpq takes them."""
    return " ".join(f"-c {setting}" for setting in (*_SESSION, f"lock_timeout={LOCK_SECONDS}s"))


def connect(dsn: str) -> psycopg.Connection[Any]:
    """A connection for reading, in autocommit until a snapshot is begun. Raises SourceUnavailable."""
    import psycopg
    from psycopg.types.string import ByteaBinaryLoader

    try:
        connection = psycopg.connect(dsn, autocommit=True, options=session_options(), connect_timeout=15)
    except psycopg.Error as exc:
        said = scrubbed(reason(exc), dsn)
        raise SourceUnavailable(f"the database cannot be reached: {said}", hint=_advice(said)) from exc
    if connection.info.server_version >= _WITH_TRANSACTION_TIMEOUT:
        connection.execute("SET transaction_timeout = 0")
    # JSON lines stay the bytes that the server sent: no decoding and encoding again.
    for name in _TEXT_TYPES:
        connection.adapters.register_loader(name, ByteaBinaryLoader)
    return connection


def _advice(said: str) -> str:
    if "Peer authentication" in said:
        return (
            "the database trusts the system user of that name: run packmule as git (sudo -u git), not as root"
        )
    if "no password supplied" in said or "password authentication" in said:
        return "give the password by PGPASSFILE, PGPASSWORD, password_env or password_keyring"
    if "unsupported startup parameter" in said:
        return "connect to PostgreSQL itself, not through PgBouncer"
    return "check host, port and user of the source; packmule doctor looks at each"


def freeze(connection: psycopg.Connection[Any]) -> str:
    """Begin a frozen, read-only transaction and export its snapshot; the id that others join by."""
    connection.execute(_BEGIN)
    return str(connection.execute("SELECT pg_export_snapshot()").fetchall()[0][0])


def keep_tables(connection: psycopg.Connection[Any], catalog: Catalog) -> None:
    """Lock what a snapshot reads against TRUNCATE, DROP and rewriting, after which it would look empty.

    Reading and writing go on. The same lock as every SELECT takes, only from the beginning; tables that the
    role may not read are passed over.
    """
    names = [str(text(row[0])) for row in connection.execute(_LOCKABLE, ([*catalog.in_use()],))]
    if names:
        connection.execute(f"LOCK TABLE {', '.join(names)} IN ACCESS SHARE MODE".encode())


def join(connection: psycopg.Connection[Any], snapshot: str) -> None:
    """Begin a transaction that sees exactly what the snapshot's holder sees. Raises SourceInterrupted."""
    import psycopg

    connection.execute(_BEGIN)
    try:
        connection.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
    except psycopg.Error as exc:
        raise _gone(connection, reason(exc)) from exc


def _gone(connection: psycopg.Connection[Any], said: str) -> SourceInterrupted:
    """A snapshot whose holder was ended; a replica does so with whoever is in the way of its recovery."""
    import psycopg

    message = f"the snapshot of the export is gone: {said}"
    try:
        connection.execute("ROLLBACK")
        replica = connection.execute("SELECT pg_is_in_recovery()").fetchall()[0][0]
    except psycopg.Error:
        replica = False
    if not replica:
        return SourceInterrupted(message, hint="run: packmule resume")
    return SourceInterrupted(
        f"{message}; a replica ends what stands in conflict with its recovery", hint=_AFTER_A_CONFLICT
    )


def reason(exc: Exception) -> str:
    """The first line of what the server or the library said."""
    lines = str(exc).strip().splitlines()
    return lines[0] if lines else type(exc).__name__


_AFTER_A_CONFLICT = (
    "run: packmule resume; lest it happen again set hot_standby_feedback=on, or a longer"
    " max_standby_streaming_delay, on the replica"
)
AFTER_THE_CHANGE = "wait until that change (a migration, say) is through, then run: packmule resume"

P = ParamSpec("P")
R = TypeVar("R")


def database_errors(function: Callable[P, R]) -> Callable[P, R]:
    """Turn a lost connection into SourceInterrupted and a refusal into SourceUnavailable."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        import psycopg

        try:
            return function(*args, **kwargs)
        except psycopg.errors.InsufficientPrivilege as exc:
            raise SourceUnavailable(
                f"the database refuses: {reason(exc)}",
                hint="the role needs SELECT on GitLab's tables; the README lists the GRANTs",
            ) from exc
        except psycopg.errors.SerializationFailure as exc:
            raise SourceInterrupted(
                f"the replica cancelled the query because of a conflict with recovery: {reason(exc)}",
                hint=_AFTER_A_CONFLICT,
            ) from exc
        except psycopg.errors.LockNotAvailable as exc:
            raise SourceInterrupted(
                f"somebody changes a table that is to be read: {reason(exc)}", hint=AFTER_THE_CHANGE
            ) from exc
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as exc:
            raise ExportFailed(
                f"the tables have changed since the export began: {reason(exc)}",
                hint="start it anew: packmule resume --restart",
            ) from exc
        except (psycopg.OperationalError, psycopg.InterfaceError) as exc:
            raise SourceInterrupted(
                f"the connection to the database was lost: {reason(exc)}", hint="run: packmule resume"
            ) from exc

    return wrapped
