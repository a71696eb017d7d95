"""What ``packmule doctor`` looks at in a GitLab: its databases; ``checks_files`` looks at its files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from export_core.errors import PackmuleError
from export_core.quantities import listed
from export_core.source import Check, CheckStatus
from export_core.sources.gitlab_db import checks_files, push_policies
from export_core.sources.gitlab_db.catalog import Catalog, read_catalog
from export_core.sources.gitlab_db.connections import connect, freeze, reason
from export_core.sources.gitlab_db.conninfo import scrubbed
from export_core.sources.gitlab_db.coverage import lacking_paths
from export_core.sources.gitlab_db.knowledge import Knowledge
from export_core.sources.gitlab_db.project import resolved_rules
from export_core.sources.gitlab_db.settings import GitlabSettings
from export_core.sources.gitlab_db.tables import TABLES
from export_core.sources.gitlab_db.texts import text

if TYPE_CHECKING:
    import psycopg

_SHOWN = 6
_OLDEST_SERVER = 120000
_CLOCK_SKEW = 30.0
"""Seconds by which the clocks of machine and database may differ."""
_TIMEOUTS = (
    "statement_timeout",
    "idle_in_transaction_session_timeout",
    "transaction_timeout",
)
_REPLICATION = """
SELECT current_setting('hot_standby_feedback'), current_setting('max_standby_streaming_delay'),
  current_setting('max_standby_archive_delay'), EXISTS (SELECT FROM pg_stat_wal_receiver)
"""
"""Feedback reaches the primary only from a replica that streams; one that is fed by files has none."""
_LICENCES = {
    "ce": "none in the database: values are exported as they are stored (license = ce)",
    "licensed": "there is one: values are exported as it makes them (license = licensed); whether it has"
    " expired cannot be read, set license = free if so",
}
_GITLAB = ("projects", "routes", "namespaces")


@dataclass(slots=True)
class _Seen:
    """What the databases showed, for the checks that need all of them."""

    settings: GitlabSettings
    catalogs: dict[str, Catalog] = field(default_factory=dict)

    def catalog(self, database: str) -> Catalog:
        return self.catalogs.get(database) or self.catalogs["main"]


def checks(settings: GitlabSettings, work_directory: str | None = None) -> Iterator[Check]:
    """Look at everything that an export needs; one line each."""
    seen = _Seen(settings)
    for name in settings.databases.separate():
        yield from _database(seen, name, work_directory)
    if set(seen.catalogs) == set(settings.databases.separate()):
        yield _schema(seen)
    yield from checks_files.places(settings)


def _database(seen: _Seen, name: str, work_directory: str | None) -> Iterator[Check]:
    title = f"database {name}"
    dsn = seen.settings.databases.dsn(name)
    try:
        connection = connect(dsn)
    except PackmuleError as exc:
        yield Check.failure(title, exc)
        return
    with connection:
        try:
            yield from _server(title, connection)
            yield from _contents(seen, name, connection, work_directory)
        except _errors() as exc:
            yield Check(title, CheckStatus.FAILED, scrubbed(reason(exc), dsn))


def _errors() -> type[Exception]:
    import psycopg

    return psycopg.Error


def _server(title: str, connection: psycopg.Connection[Any]) -> Iterator[Check]:
    query = (
        "SELECT current_setting('server_version'), current_setting('server_version_num')::int,"
        " pg_is_in_recovery(), current_user::text"
    )
    version, number, replica, role = connection.execute(query).fetchall()[0]
    said = f"PostgreSQL {text(version)} as {text(role)}"
    if number < _OLDEST_SERVER:
        yield Check(title, CheckStatus.WARNING, f"{said}; packmule was never tried on so old a server")
    elif replica:
        yield Check(title, CheckStatus.OK, f"{said}, a replica")
        yield _feedback(title, connection)
    else:
        yield Check(title, CheckStatus.OK, f"{said}, a primary; a read replica would keep the load off it")
    yield _clock(title, connection)
    yield _timeouts(title, connection)
    yield _snapshot(title, connection)


def _feedback(title: str, connection: psycopg.Connection[Any]) -> Check:
    """Whether a long snapshot survives on a replica."""
    feedback, streaming, archive, receives = connection.execute(_REPLICATION).fetchall()[0]
    name = "max_standby_streaming_delay" if receives else "max_standby_archive_delay"
    delay = text(streaming if receives else archive)
    if delay == "-1" or (receives and text(feedback) == "on"):
        return Check(f"{title}: replication", CheckStatus.OK, "recovery does not cancel long queries")
    when = "at once" if delay == "0" else f"after {delay}"
    cure = "hot_standby_feedback = on (or a longer {})" if receives else "a longer {}"
    return Check(
        f"{title}: replication",
        CheckStatus.WARNING,
        f"recovery cancels queries that are in its way {when}: set {cure.format(name)} on the replica",
    )


def _clock(title: str, connection: psycopg.Connection[Any]) -> Check:
    before = datetime.now(UTC)
    (there,) = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchall()[0]
    after = datetime.now(UTC)
    ahead = max(there - after.timestamp(), 0.0) or min(there - before.timestamp(), 0.0)
    if abs(ahead) > _CLOCK_SKEW:
        way = "ahead of" if ahead > 0 else "behind"
        return Check(f"{title}: clock", CheckStatus.WARNING, f"{abs(ahead):.0f} s {way} this machine's")
    return Check(f"{title}: clock", CheckStatus.OK, "as this machine's")


def _timeouts(title: str, connection: psycopg.Connection[Any]) -> Check:
    """Whether the session's own settings beat those of server, database and role."""
    rows = connection.execute(
        "SELECT name, setting FROM pg_settings WHERE name = ANY(%s) AND setting <> '0' ORDER BY name",
        (list(_TIMEOUTS),),
    ).fetchall()
    if rows:
        left = ", ".join(f"{text(name)} = {text(value)} ms" for name, value in rows)
        return Check(f"{title}: timeouts", CheckStatus.WARNING, f"{left} may end a long export")
    return Check(f"{title}: timeouts", CheckStatus.OK, "switched off for packmule's sessions")


def _snapshot(title: str, connection: psycopg.Connection[Any]) -> Check:
    import psycopg

    try:
        freeze(connection)
    except psycopg.Error as exc:
        return Check(f"{title}: snapshot", CheckStatus.FAILED, reason(exc))
    finally:
        connection.execute("ROLLBACK")
    return Check(
        f"{title}: snapshot", CheckStatus.OK, "a frozen view can be taken and shared between workers"
    )


def _contents(
    seen: _Seen, name: str, connection: psycopg.Connection[Any], work_directory: str | None
) -> Iterator[Check]:
    catalog = read_catalog(connection, TABLES)
    lacking = [table for table in _GITLAB if not catalog.has(table)] if name == "main" else []
    if lacking:
        yield Check(
            f"database {name}: tables",
            CheckStatus.FAILED,
            "this is no database of a GitLab, or the role may not use its schema:"
            f" no table {listed(lacking, _SHOWN)}",
        )
        return
    seen.catalogs[name] = catalog
    refused = _refused(catalog, connection)
    yield _privileges(name, refused, catalog, connection)
    if name == "main" and not refused:
        asked = seen.settings.rules.license
        seen.settings = replace(seen.settings, rules=resolved_rules(connection, seen.settings.rules))
        if asked == "auto":
            yield Check("licence", CheckStatus.OK, _LICENCES[seen.settings.rules.license])
        if found := push_policies.check(connection, catalog, seen.settings.rules):
            yield found
        yield from checks_files.found_in_database(seen.settings, connection, catalog, work_directory)


def _privileges(
    name: str, refused: list[str], catalog: Catalog, connection: psycopg.Connection[Any]
) -> Check:
    if refused:
        return Check(
            f"database {name}: privileges",
            CheckStatus.FAILED,
            f"no SELECT on {listed(refused, _SHOWN)};"
            f" GRANT SELECT ON {', '.join(refused)} TO {_role(connection)}",
        )
    return Check(
        f"database {name}: privileges", CheckStatus.OK, f"SELECT on all {len(catalog.tables)} tables"
    )


def _refused(catalog: Catalog, connection: psycopg.Connection[Any]) -> list[str]:
    rows = connection.execute(
        "SELECT name FROM unnest(%s::text[]) name WHERE NOT has_table_privilege(name, 'SELECT') ORDER BY 1",
        (sorted(catalog.name(table) for table in catalog.tables),),
    )
    return [text(table) or "" for (table,) in rows.fetchall()]


def _role(connection: psycopg.Connection[Any]) -> str:
    return text(connection.execute("SELECT quote_ident(current_user::text)").fetchall()[0][0]) or ""


def _schema(seen: _Seen) -> Check:
    missing = lacking_paths(seen.settings, seen.catalog, Knowledge())
    if missing:
        return Check("schema", CheckStatus.WARNING, f"{len(missing)} missing: {listed(missing, _SHOWN)}")
    return Check("schema", CheckStatus.OK, "every relation and attribute of GitLab 18.9 is there")
