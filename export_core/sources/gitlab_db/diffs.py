"""Diffs in files of their own: local or in object storage; each file is opened once, not once a diff."""

from __future__ import annotations

import os
from pathlib import Path

from export_core.errors import SourceUnavailable
from export_core.gitlab import layout
from export_core.sources.gitlab_db.object_storage import Objects
from export_core.sources.gitlab_db.settings import GitlabSettings
from export_core.sources.gitlab_db.values import MissingValue

_REMOTE = 2
_WHOLE = 64 << 20
"""Remote files up to this size are fetched whole, larger ones by ranges."""


class DiffFiles:
    """Reads diffs. One per worker: lines come diff by diff, so that one open file is enough."""

    def __init__(self, settings: GitlabSettings) -> None:
        self._root = settings.storage.external_diffs
        self._objects = Objects(settings.object_storage) if settings.object_storage else None
        self._key: str | None = None
        self._file: int | None = None
        self._content: bytes | None = None

    def read(self, merge_request_id: int, diff_id: int, store: int | None, place: tuple[int, int]) -> bytes:
        """``place`` = (offset, size) in the diff's file. Raises MissingValue."""
        key = layout.external_diff(merge_request_id, diff_id)
        remote = store == _REMOTE
        if key != self._key:
            self._open(key, remote=remote)
        try:
            data = self._part(key, place, remote=remote)
        except (OSError, SourceUnavailable) as exc:
            raise MissingValue(f"the diff file {key} cannot be read: {exc}") from exc
        if len(data) < place[1]:
            raise MissingValue(f"the diff file {key} ends before byte {place[0] + place[1]}")
        return data

    def close(self) -> None:
        """Close the open file."""
        if self._file is not None:
            os.close(self._file)
        self._key = self._file = self._content = None

    def _open(self, key: str, *, remote: bool) -> None:
        self.close()
        try:
            if remote:
                self._fetch(key)
            elif self._root is None:
                raise MissingValue(f"the diff file {key} cannot be read: external_diffs is not configured")
            else:
                self._file = os.open(Path(self._root) / key, os.O_RDONLY)
        except OSError as exc:
            raise MissingValue(f"the diff file {key} is gone: {exc.strerror}") from exc
        self._key = key

    def _fetch(self, key: str) -> None:
        if self._objects is None:
            raise MissingValue(f"the diff file {key} lies in object storage, and none is configured")
        size = self._objects.size("external_diffs", key)
        if size is None:
            raise MissingValue(f"the diff file {key} is gone from object storage")
        if size <= _WHOLE:
            with self._objects.open("external_diffs", key) as stream:
                self._content = stream.read()

    def _part(self, key: str, place: tuple[int, int], *, remote: bool) -> bytes:
        offset, size = place
        if self._content is not None:
            return self._content[offset : offset + size]
        if not remote and self._file is not None:
            return os.pread(self._file, size, offset)
        if self._objects is None:
            raise MissingValue(f"the diff file {key} lies in object storage, and none is configured")
        with self._objects.open("external_diffs", key, place) as stream:
            return stream.read()
