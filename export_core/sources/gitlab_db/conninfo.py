"""PostgreSQL connection strings: checked, completed with a password, and never shown with one."""

from __future__ import annotations

from urllib.parse import quote, unquote

from export_core.errors import UsageError

_SECRET_OPTIONS = ("password", "sslpassword")
_HINT = (
    'for example "postgresql://user@host/gitlabhq_production"; in a URL the characters @ : / ? # % and blanks'
    " of a password are written as %40 and so on; better still, leave it to PGPASSFILE or password_env"
)


def check(dsn: str, setting: str) -> str:
    """The connection string, if it is one. Raises UsageError, which shows nothing of it."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        parts = conninfo_to_dict(dsn)
    except ProgrammingError:
        # libpq's own words quote what they stumble over, which may be the password.
        raise UsageError(f"{setting} is no PostgreSQL URL or connection string", hint=_HINT) from None
    if "@" in str(parts.get("host") or ""):
        raise UsageError(f"{setting} has an @ in its host name: is it part of the password?", hint=_HINT)
    return dsn


def with_password(dsn: str, password: str | None) -> str:
    """A connection string with a password, unless it has one."""
    if password is None:
        return dsn
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    parts = conninfo_to_dict(dsn)
    return dsn if parts.get("password") else make_conninfo(dsn, password=password)


def scrubbed(text: str, dsn: str) -> str:
    """What a library or a server said, without the connection string's secrets."""
    for secret in sorted(_secrets(dsn), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _secrets(dsn: str) -> set[str]:
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        parts = conninfo_to_dict(dsn)
    except ProgrammingError:
        return {dsn}
    found = {str(parts[option]) for option in _SECRET_OPTIONS if parts.get(option)}
    return found | {quote(secret, safe="") for secret in found} | {unquote(secret) for secret in found}
