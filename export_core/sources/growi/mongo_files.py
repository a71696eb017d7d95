"""Where a wiki in MongoDB keeps its attachments: GridFS in the same database, or a directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from export_core.errors import UsageError
from export_core.source import Check, CheckStatus
from export_core.sources.growi.documents import attachment
from export_core.sources.growi.mongo_client import in_chunks, translated
from export_core.sources.growi.records import Attachment, StoredFile
from export_core.sources.growi.streams import as_file

if TYPE_CHECKING:
    from pymongo.database import Database

_BUCKET = "attachmentFiles"
"""The GridFS bucket of GROWI's file upload to MongoDB."""
_FOLDER = "attachment"
"""Where GROWI's file upload to a directory keeps pages' attachments, below the directory of uploads."""


class MongoFiles:
    """The attachments' files. With ``uploads`` they are in that directory, else in the database."""

    def __init__(self, database: Database[dict[str, Any]], uploads: Path | None) -> None:
        self._database = database
        self._uploads = uploads

    def absent(self, attachments: Sequence[Attachment]) -> frozenset[str]:
        """Ids of attachments without a file. Raises UsageError when not one file is there."""
        missing = frozenset(record.id for record, file in self.files(attachments) if file is None)
        if attachments and len(missing) == len(attachments) and self._elsewhere():
            raise UsageError(
                "the wiki's attachments are not in its database",
                hint="name the directory of uploads with the setting 'uploads', read the wiki through its"
                " REST API (growi+https://...), or leave them out with --skip attachments",
            )
        return missing

    def files(self, attachments: Sequence[Attachment]) -> Iterator[tuple[Attachment, StoredFile | None]]:
        """The files in the order given, found by one query for many; None for one that is missing."""
        for some in in_chunks(attachments):
            stored = {} if self._uploads else self._stored(some)
            for record in some:
                yield record, self._local(record) if self._uploads else stored.get(record.stored)

    def check(self) -> Check:
        """Whether files are where they are looked for."""
        if self._uploads is not None:
            folder = self._uploads / _FOLDER
            ok = folder.is_dir()
            message = str(folder) if ok else f"{folder} does not exist"
            return Check("attachments", CheckStatus.OK if ok else CheckStatus.FAILED, message)
        with translated():
            some = list(self._database["attachments"].find({"page": {"$ne": None}}).limit(100))
        if some and not self._stored([attachment(one) for one in some]):
            return Check(
                "attachments", CheckStatus.WARNING, "not in the database; name their directory with 'uploads'"
            )
        return Check("attachments", CheckStatus.OK, "in the database (GridFS)")

    def _elsewhere(self) -> bool:
        with translated():
            return not self._uploads and self._database[f"{_BUCKET}.files"].find_one() is None

    def _local(self, record: Attachment) -> StoredFile | None:
        """A file in the directory; a stored name that leads out of it counts as missing."""
        if not self._uploads or not record.stored or "/" in record.stored or record.stored in {".", ".."}:
            return None
        path = self._uploads / _FOLDER / record.stored
        return StoredFile(path.stat().st_size, lambda: path.open("rb")) if path.is_file() else None

    def _stored(self, attachments: Sequence[Attachment]) -> dict[str, StoredFile]:
        names = [record.stored for record in attachments]
        with translated():
            found = list(self._database[f"{_BUCKET}.files"].find({"filename": {"$in": names}}))
        return {str(f["filename"]): StoredFile(int(f["length"]), self._opener(f["_id"])) for f in found}

    def _opener(self, file: object) -> Callable[[], BinaryIO]:
        # PyMongo's own GridFS reader takes only its own Database class, which no stand-in is.
        return lambda: as_file(self._pieces(file))

    def _pieces(self, file: object) -> Iterator[bytes]:
        with translated():
            for chunk in self._database[f"{_BUCKET}.chunks"].find({"files_id": file}).sort("n", 1):
                yield bytes(chunk["data"])
