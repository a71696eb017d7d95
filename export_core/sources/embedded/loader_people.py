"""Users and groups that an archive only refers to: rows are made for them, so that nothing dangles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from export_core.sources.embedded.database import ORGANIZATION_ID
from export_core.sources.embedded.loader_ids import Ids
from export_core.sources.embedded.loader_report import LoadReport

if TYPE_CHECKING:
    import psycopg


@dataclass(slots=True)
class People:
    """Collects what the archive says about its users."""

    ids: Ids
    report: LoadReport
    _told: dict[int, dict[str, Any]] = field(default_factory=dict)
    _unnamed: set[int] = field(default_factory=set)

    def seen(self, user_id: int | None, record: Mapping[str, Any] | None) -> None:
        """A place that could show a user, and the object that it shows (None: it shows none)."""
        if user_id is None:
            if record:
                self.report.warn("a user without id; only shown, so left out")
            return
        if record is None:
            # The user was gone when the archive was written; a row would show up in the next export.
            self._unnamed.add(user_id)
            return
        told = self._told.setdefault(user_id, {})
        for key in ("name", "username", "public_email", "email"):
            if key in record and told.setdefault(key, record[key]) != record[key]:
                self.report.warn(f"one user has more than one {key}; the first one is kept")

    def insert(self, connection: psycopg.Connection[Any]) -> None:
        """Make the rows, at the end of a load."""
        with connection.cursor() as cursor:
            columns = "id, email, name, username, public_email, projects_limit, state, organization_id"
            with cursor.copy(f"COPY users ({columns}) FROM STDIN") as copy:
                for user_id in sorted(self.ids.users | self._told.keys()):
                    if user_id in self._told or user_id not in self._unnamed:
                        copy.write_row(self._row(user_id))
            with cursor.copy(
                "COPY namespaces (id, name, path, type, traversal_ids, organization_id) FROM STDIN"
            ) as copy:
                for group in sorted(self.ids.groups):
                    name = f"group-{group}"
                    copy.write_row((group, name, name, "Group", [group], ORGANIZATION_ID))

    def _row(self, user_id: int) -> tuple[Any, ...]:
        told = self._told.get(user_id, {})
        username = f"user-{user_id}"
        return (
            user_id,
            told.get("email") or told.get("public_email") or f"{username}@users.invalid",
            told.get("name", username),
            told.get("username", username),
            told.get("public_email"),
            0,
            "active",
            ORGANIZATION_ID,
        )
