"""Diffs in files of their own: local or in object storage; each file is read once, not once a diff."""

from __future__ import annotations

import os
from pathlib import Path

from export_core.errors import SourceInterrupted, SourceUnavailable
from export_core.gitlab import layout
from export_core.sources.gitlab_db.object_storage import Objects
from export_core.sources.gitlab_db.settings import GitlabSettings
from export_core.sources.gitlab_db.values import MissingValue

_WINDOW = 64 << 20
"""Bytes of a remote file that are fetched at once: nearly always all of it."""


class DiffFiles:
    """Reads diffs. One per worker: lines come diff by diff, so that one open file is enough."""

    def __init__(self, settings: GitlabSettings) -> None:
        self._root = settings.storage.external_diffs
        self._objects = Objects(settings.object_storage) if settings.object_storage else None
        self._key: str | None = None
        self._file: int | None = None
        self._window = b""
        self._start = 0

    def read(self, merge_request_id: int, diff_id: int, store: int | None, place: tuple[int, int]) -> bytes:
        """``place`` = (offset, size) in the diff's file. Raises MissingValue."""
        key = layout.external_diff(merge_request_id, diff_id)
        try:
            data = self._remote(key, *place) if store == layout.REMOTE_STORE else self._local(key, *place)
        except OSError as exc:
            raise MissingValue(f"the diff file {key} cannot be read: {exc.strerror}") from exc
        except SourceInterrupted:
            raise
        except SourceUnavailable as exc:
            raise MissingValue(f"the diff file {key} cannot be read: {exc.message}") from exc
        if len(data) < place[1]:
            raise MissingValue(f"the diff file {key} ends before byte {sum(place)}")
        return data

    def close(self) -> None:
        """Close the open file."""
        if self._file is not None:
            os.close(self._file)
        self._key = self._file = None
        self._window = b""

    def _local(self, key: str, offset: int, size: int) -> bytes:
        if key != self._key or self._file is None:
            self.close()
            if self._root is None:
                raise MissingValue(f"the diff file {key} cannot be read: external_diffs is not configured")
            self._file = os.open(Path(self._root) / key, os.O_RDONLY | os.O_CLOEXEC)
            self._key = key
        return os.pread(self._file, size, offset)

    def _remote(self, key: str, offset: int, size: int) -> bytes:
        end = offset + size
        if key != self._key or not self._start <= offset or end > self._start + len(self._window):
            self._fetch(key, offset, size)
        return self._window[offset - self._start : end - self._start]

    def _fetch(self, key: str, offset: int, size: int) -> None:
        """Have a window with the diff in it: from the beginning where that reaches, as diffs follow on."""
        self.close()
        if self._objects is None:
            raise MissingValue(f"the diff file {key} lies in object storage, and none is configured")
        start = 0 if offset + size <= _WINDOW else offset
        found = self._objects.window("external_diffs", key, start, max(_WINDOW, size))
        if found is None:
            raise MissingValue(f"the diff file {key} is gone from object storage")
        self._key, self._window, self._start = key, found, start
