"""What SQL cannot make: replaces the markers that ``renderings.marker`` left in a line.

Kinds: ``p`` note position (YAML), ``y`` any YAML, ``s`` YAML that the embedded instance's loader wrote, ``m``
merge_params (YAML mapping), ``f`` whether policies let a branch be pushed, ``b`` commit of a branch, ``h``
default branch, ``d`` base64 diff, ``x`` diff in a file of its own, ``c`` text colour of a label, ``z`` the
object id of nothing. Their payloads are JSON.
(``q``, a row in another database, is replaced before by ``lookups``.)
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from typing import Any, Protocol

from export_core.sources.gitlab_db import ruby_yaml
from export_core.sources.gitlab_db.ruby_scalars import BrokenYaml

_MARKER = re.compile(rb"\x01(.)([^\x02]*)\x02", re.DOTALL)
_MOST_CACHED = 20_000


class Repositories(Protocol):
    """Branches of the projects' repositories."""

    def branch_sha(self, project_id: int | None, branch: str) -> str | None:
        """Commit of a branch; None when project or branch is gone."""
        ...

    def default_branch(self) -> str | None:
        """The branch that the exported project's HEAD points to, or the configured default."""
        ...

    def no_commit(self) -> str:
        """The object id of nothing: 40 or 64 zeros."""
        ...

    def may_be_pushed(self, name: str) -> bool:
        """Whether no security policy forbids pushing to a protected branch of the exported project."""
        ...


class ExternalDiffs(Protocol):
    """Diffs that lie in files beside the database."""

    def read(self, merge_request_id: int, diff_id: int, store: int | None, place: tuple[int, int]) -> bytes:
        """``place`` = (offset, size) of the diff's file. Raises MissingValue."""
        ...


class MissingValue(Exception):
    """A value that should be there and cannot be read; the line cannot be made whole."""


class Resolver:
    """Replaces markers. One per worker; remembers small values, because they repeat."""

    def __init__(self, repositories: Repositories, diffs: ExternalDiffs, *, allow_missing: bool) -> None:
        self._repositories = repositories
        self._diffs = diffs
        self._allow_missing = allow_missing
        self._cache: dict[tuple[bytes, bytes], bytes] = {}
        self.warnings: list[str] = []
        self._kinds: dict[bytes, Callable[[Any], Any]] = {
            b"p": ruby_yaml.position,
            b"y": ruby_yaml.load,
            b"s": ruby_yaml.stored,
            b"m": lambda text: ruby_yaml.load(text) or {},
            b"b": lambda payload: self._repositories.branch_sha(*payload) if payload[1] else None,
            b"f": self._repositories.may_be_pushed,
            b"h": lambda _: self._repositories.default_branch(),
            b"d": decoded_diff,
            b"c": text_color,
            b"z": lambda _: self._repositories.no_commit(),
        }

    def resolve(self, line: bytes) -> bytes:
        """The line with all markers replaced. Raises MissingValue."""
        return _MARKER.sub(self._replace, line)

    def _replace(self, found: re.Match[bytes]) -> bytes:
        kind, payload = found[1], found[2]
        if kind == b"x":
            return self._external(json.loads(payload))
        key = (kind, payload)
        cached = self._cache.get(key)
        if cached is None:
            known = len(self.warnings)
            cached = self._value(kind, payload)
            if len(payload) < 4096 and len(self.warnings) == known:  # each missing value is told
                if len(self._cache) >= _MOST_CACHED:
                    self._cache.clear()
                self._cache[key] = cached
        return cached

    def _value(self, kind: bytes, payload: bytes) -> bytes:
        try:
            value = json.loads(payload)
            return _encode(None if value is None else self._kinds[kind](value))
        except BrokenYaml as exc:
            instead = b"{}" if kind == b"m" else b"null"
            return self._missing(f"a serialised column is not readable YAML ({exc})", instead)

    def _external(self, payload: list[Any]) -> bytes:
        merge_request_id, diff_id, store, offset, size, binary = payload
        if not size:
            return b'""'
        try:
            raw = self._diffs.read(merge_request_id, diff_id, store, (offset or 0, size))
        except MissingValue as exc:
            return self._missing(str(exc), b'""')
        return _encode(decoded_diff(raw) if binary else utf8_text(raw))

    def _missing(self, what: str, instead: bytes) -> bytes:
        if not self._allow_missing:
            raise MissingValue(what)
        self.warnings.append(what)
        return instead


def _encode(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def decoded_diff(diff: str | bytes) -> str:
    """A binary diff: strict base64 is decoded, anything else is kept as it is."""
    raw = diff.encode() if isinstance(diff, str) else diff
    try:
        decoded = base64.b64decode(raw, validate=True)
    except (binascii.Error, ValueError):
        return utf8_text(raw)
    # Ruby's strict decoder accepts one spelling of a value only; Python's is more generous.
    return utf8_text(decoded if base64.b64encode(decoded) == raw else raw)


def utf8_text(raw: bytes) -> str:
    """Bytes as text: UTF-8, else the charset they seem to have, else without what does not fit."""
    if not raw.strip():
        return ""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        from charset_normalizer import from_bytes

        best = from_bytes(raw[: 1 << 20]).best()
        if best is None or best.encoding == "utf_8":
            return raw.decode(errors="ignore")
        return raw.decode(best.encoding, errors="ignore")


_DARK = (31, 30, 36)
_HEX_COLOR = re.compile(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")


def text_color(color: str) -> str:
    """Black or white on a label of this colour, by the contrast rule of WCAG as GitLab applies it."""
    if not _HEX_COLOR.fullmatch(color):
        return "#FFFFFF"
    digits = color[1:] if len(color) == 7 else "".join(digit * 2 for digit in color[1:])
    light = _luminance(*(int(digits[at : at + 2], 16) for at in (0, 2, 4)))
    with_white = 1.05 / (light + 0.05)
    with_dark = (light + 0.05) / (_luminance(*_DARK) + 0.05)
    return "#FFFFFF" if with_white >= 2.4 or with_white > with_dark else "#1F1E24"


def _luminance(*channels: int) -> float:
    """Relative luminance of an sRGB colour (WCAG 2)."""
    linear = [
        value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4
        for value in (channel / 255 for channel in channels)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
