"""Connecting to MongoDB with PyMongo: databases, ids, and its errors as ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from export_core.errors import SourceInterrupted, SourceUnavailable, UsageError

if TYPE_CHECKING:
    from pymongo import MongoClient
    from pymongo.database import Database

T = TypeVar("T")
_QUERY_IDS = 1000
_SERVER_SELECTION_MS = 10_000
_DENIED = frozenset({13, 18, 8000})
"""MongoDB's codes for Unauthorized, AuthenticationFailed, and Atlas' own."""


def connect(url: str) -> MongoClient[dict[str, Any]]:
    """A client for a ``mongodb://`` URL, with few connections, as it serves one thread.

    Raises UsageError when PyMongo is missing or the URL is malformed.
    """
    try:
        from pymongo import MongoClient
    except ModuleNotFoundError as exc:
        hint = "pip install 'packmule[growi]'"
        raise UsageError("reading a wiki from MongoDB needs the Python package pymongo", hint=hint) from exc
    try:
        with translated():
            return MongoClient(
                url,
                appname="packmule",
                tz_aware=True,
                maxPoolSize=2,
                serverSelectionTimeoutMS=_SERVER_SELECTION_MS,
            )
    except ValueError as exc:
        raise _malformed() from exc


def _malformed() -> UsageError:
    hint = "it looks like mongodb://user:password@host/growi; percent-encode special characters"
    return UsageError("the MongoDB URL is not valid", hint=hint)


def default_database(client: MongoClient[dict[str, Any]], name: str | None) -> Database[dict[str, Any]]:
    """The database named by the settings, else by the URL. Raises UsageError when neither names one."""
    from pymongo.errors import ConfigurationError

    if name:
        return client[name]
    try:
        return client.get_default_database()
    except ConfigurationError as exc:
        hint = "write it after the host: mongodb://host/growi"
        raise UsageError("the MongoDB URL names no database", hint=hint) from exc


def object_ids(texts: Iterable[str]) -> list[Any]:
    """Ids as MongoDB stores them; those that are no ObjectId stay text."""
    from bson import ObjectId

    return [ObjectId(text) if ObjectId.is_valid(text) else text for text in texts]


def in_chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """The items in portions that fit into one query."""
    return (items[at : at + _QUERY_IDS] for at in range(0, len(items), _QUERY_IDS))


@contextmanager
def translated() -> Iterator[None]:
    """Turn PyMongo's errors into ours. Its texts name hosts, never passwords."""
    from bson.errors import BSONError
    from pymongo import errors

    try:
        yield
    except errors.ServerSelectionTimeoutError as exc:
        raise SourceUnavailable(
            f"no MongoDB server answers: {_short(exc)}", hint="check the URL, the network and that it runs"
        ) from exc
    except (errors.ConnectionFailure, errors.CursorNotFound) as exc:
        raise SourceInterrupted(f"the connection to MongoDB broke: {_short(exc)}", hint="try again") from exc
    except errors.OperationFailure as exc:
        hint = "check the user, the password and authSource in the URL" if exc.code in _DENIED else None
        raise SourceUnavailable(f"MongoDB refuses: {_short(exc)}", hint=hint) from exc
    except (errors.InvalidURI, errors.ConfigurationError) as exc:
        raise _malformed() from exc
    except (errors.PyMongoError, BSONError) as exc:
        raise SourceUnavailable(
            f"reading MongoDB failed: {_short(exc)}", hint="packmule doctor --source looks at the wiki"
        ) from exc


def _short(exc: Exception) -> str:
    """PyMongo's message without its description of the whole topology."""
    return str(exc).partition(", Timeout:")[0].partition(", full error:")[0]
