"""Values that SQL cannot make: diffs of any charset, colours, markers, and what if one is missing."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from export_core.sources.gitlab_db import lookups
from export_core.sources.gitlab_db.values import MissingValue, Resolver, decoded_diff, text_color, utf8_text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"", ""),
        (b" \n\t", ""),
        (b"plain", "plain"),
        ("ü 漢字 🦉".encode(), "ü 漢字 🦉"),
        (b"with NUL \x00", "with NUL \x00"),
        (("Le café coûte cher à l'été, déjà vu où êtes-vous. " * 4).encode("cp1252"), None),
    ],
)
def test_utf8_text(raw: bytes, text: str | None) -> None:
    found = utf8_text(raw)
    assert found == text if text is not None else "Le caf" in found
    found.encode()


@pytest.mark.parametrize("raw", [b"\xff\xfe\xfd", b"\x80abc", bytes(range(256)), b"a" * 100 + b"\xc3"])
def test_bytes_of_no_charset_become_some_text(raw: bytes) -> None:
    found = utf8_text(raw)
    found.encode()
    assert not found or found.isprintable() or len(found) > 1


@pytest.mark.parametrize(
    ("diff", "text"),
    [
        (base64.b64encode(b"@@ -1 +1 @@\n").decode(), "@@ -1 +1 @@\n"),
        ("", ""),
        ("YWJj", "abc"),
        ("YWI=", "ab"),
        ("YQ==", "a"),
        # What Ruby's strict decoder refuses is kept.
        ("YWJj\n", "YWJj\n"),
        ("YW Jj", "YW Jj"),
        ("YWI", "YWI"),
        ("YWJj=", "YWJj="),
        ("YR==", "YR=="),
        ("YQ==YQ==", "YQ==YQ=="),
        ("@@ no base64", "@@ no base64"),
        ("kein ümlaut", "kein ümlaut"),
    ],
)
def test_binary_diffs(diff: str, text: str) -> None:
    assert decoded_diff(diff) == decoded_diff(diff.encode()) == text


@pytest.mark.parametrize(
    ("color", "text"),
    [
        ("#FFFFFF", "#1F1E24"),
        ("#000000", "#FFFFFF"),
        ("#fff", "#1F1E24"),
        ("#000", "#FFFFFF"),
        ("#6699cc", "#FFFFFF"),
        ("#ffff00", "#1F1E24"),
        ("#1F1E24", "#FFFFFF"),
        # Either side of the contrast of 2.4: greys of relative luminance 0.3864 and 0.3916 (limit 0.3875).
        ("#a7a7a7", "#FFFFFF"),
        ("#a8a8a8", "#1F1E24"),
        ("red", "#FFFFFF"),
        ("#12", "#FFFFFF"),
        ("#ffff", "#FFFFFF"),
        ("#ffffff\n", "#FFFFFF"),
        ("", "#FFFFFF"),
    ],
)
def test_text_colours(color: str, text: str) -> None:
    """By WCAG's formula: white where 1.05 / (L + 0.05) is 2.4 or more; no colour counts as dark."""
    assert text_color(color) == text


class Repositories:
    """Knows one branch."""

    def branch_sha(self, project_id: int | None, branch: str) -> str | None:
        """Its commit."""
        return "a" * 40 if (project_id, branch) == (1, "main") else None

    def default_branch(self) -> str | None:
        """Its name."""
        return "main"

    def may_be_pushed(self, name: str) -> bool:
        """All but one."""
        return name != "guarded"

    def no_commit(self) -> str:
        """Of SHA-256."""
        return "0" * 64


class Diffs:
    """One file of ten bytes."""

    def read(self, merge_request_id: int, diff_id: int, store: int | None, place: tuple[int, int]) -> bytes:
        """A part of it."""
        if (merge_request_id, diff_id) != (5, 6):
            raise MissingValue("the diff file is gone")
        return b"0123\xff56789"[place[0] : place[0] + place[1]]


def _resolver(*, allow_missing: bool = False) -> Resolver:
    return Resolver(Repositories(), Diffs(), allow_missing=allow_missing)


def _marked(kind: str, payload: Any) -> bytes:
    return b"\x01" + kind.encode() + json.dumps(payload).encode() + b"\x02"


@pytest.mark.parametrize(
    ("kind", "payload", "value"),
    [
        ("b", [1, "main"], "a" * 40),
        ("b", [1, "gone"], None),
        ("b", [None, "main"], None),
        ("b", [1, None], None),
        ("h", 1, "main"),
        ("z", 0, "0" * 64),
        ("c", "#000", "#FFFFFF"),
        ("d", "YWJj", "abc"),
        ("y", "--- [1]", [1]),
        ("m", "--- {}", {}),
        ("m", "", {}),
        ("p", None, None),
        ("x", [5, 6, 1, 0, 4, False], "0123"),
        ("x", [5, 6, 1, 0, 4, True], base64.b64decode("0123").decode("latin-1")),
        ("x", [5, 6, 1, None, 2, None], "01"),
        ("x", [7, 7, 1, 0, 0, False], ""),
        ("x", [7, 7, 1, 0, None, False], ""),
    ],
)
def test_markers(kind: str, payload: Any, value: Any) -> None:
    line = b'{"a":' + _marked(kind, payload) + b',"b":"\\u0001c\\u0002"}'
    found = json.loads(_resolver().resolve(line))
    if (kind, payload) == ("x", [5, 6, 1, 0, 4, True]):
        assert isinstance(found["a"], str)
    else:
        assert found == {"a": value, "b": "\x01c\x02"}


@pytest.mark.parametrize(
    ("kind", "payload", "instead"),
    [
        ("p", "--- [1", None),
        ("y", "a: *b", None),
        ("m", "--- [1", {}),
        ("x", [7, 7, 1, 0, 5, False], ""),
    ],
)
def test_what_cannot_be_read_stops_unless_that_is_allowed(kind: str, payload: Any, instead: Any) -> None:
    line = b'{"a":' + _marked(kind, payload) + b"}"
    with pytest.raises(MissingValue):
        _resolver().resolve(line)
    lenient = _resolver(allow_missing=True)
    assert json.loads(lenient.resolve(line)) == {"a": instead}
    assert len(lenient.warnings) == 1


def test_every_missing_value_is_told_not_only_the_first_of_its_kind() -> None:
    lenient = _resolver(allow_missing=True)
    line = _marked("p", "--- [1")
    lenient.resolve(line + line)
    assert len(lenient.warnings) == 2


def test_rows_of_another_database_are_asked_for_once() -> None:
    asked: list[tuple[str, list[int]]] = []

    def fetch(path: str, ids: list[int]) -> dict[int, bytes]:
        asked.append((path, ids))
        return {id: b'{"iid":%d}' % id for id in ids if id != 3}

    lines = [
        b'{"x":1' + _marked("q", ["a.one", 2]) + _marked("q", ["a.two", 2]) + b"}",
        b'{"x":2' + _marked("q", ["a.one", 3]) + b"}",
        b'{"x":3' + _marked("q", ["a.one", 2]) + b',"text":"\\u0001q\\u0002"}',
        b'{"x":4}',
    ]
    found = [json.loads(line) for line in lookups.fill(lines, fetch)]
    assert found == [
        {"x": 1, "one": {"iid": 2}, "two": {"iid": 2}},
        {"x": 2},
        {"x": 3, "one": {"iid": 2}, "text": "\x01q\x02"},
        {"x": 4},
    ]
    assert sorted(asked) == [("a.one", [2, 3]), ("a.two", [2])]
