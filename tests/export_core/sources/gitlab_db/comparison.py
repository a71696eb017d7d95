"""Compares what the product wrote with what the serialiser expects, and names the first difference."""

from __future__ import annotations

import json
from typing import Any

from tests.export_core.sources.gitlab_db.product_runs import Exported
from tests.export_core.sources.gitlab_db.serialiser import Serialiser

NAMES = {"list": "file of lines", "object": "one object"}


def check_project(exported: Exported, expected: Serialiser, relations: list[Any]) -> list[str]:
    """Differences of all relations and of project.json; an empty list when there are none."""
    found = check_object("project", exported.text("project"), expected.root())
    for node in relations:
        name = node["name"]
        if node["cardinality"] == "list":
            found += check_lines(name, exported.text(name), expected.relation(name))
        else:
            found += check_object(name, exported.text(name), expected.relation(name))
    return found


def check_lines(name: str, text: bytes | None, expected: Any) -> list[str]:
    """A list: no file without lines, but for project_members."""
    if not expected and name != "project_members":
        return [] if text is None else [f"{name}: a file where none should be"]
    if text is None:
        return [f"{name}: no file"]
    lines = text.split(b"\n")
    if text and lines.pop() != b"":
        return [f"{name}: the last line does not end"]
    lines = [] if not text else lines
    if len(lines) != len(expected):
        return [f"{name}: {len(lines)} lines instead of {len(expected)}"]
    found = []
    for number, (line, value) in enumerate(zip(lines, expected, strict=True)):
        found += difference(f"{name}[{number}]", _parsed(line), value)
    return found


def check_object(name: str, text: bytes | None, expected: Any) -> list[str]:
    """A single object or the word null, without an end of line."""
    if text is None:
        return [f"{name}: no file"]
    if expected is None:
        return [] if text == b"null" else [f"{name}: {text[:60]!r} instead of null"]
    return (
        [f"{name}: ends with a line break"]
        if text.endswith(b"\n")
        else difference(name, _parsed(text), expected)
    )


def difference(path: str, found: Any, expected: Any) -> list[str]:
    """Where two values differ, by path; types count: 1, 1.0 and true are three things."""
    if isinstance(expected, dict) and isinstance(found, dict):
        told = [f"{path}.{key}: missing" for key in expected.keys() - found.keys()]
        told += [f"{path}.{key}: {found[key]!r} is too much" for key in found.keys() - expected.keys()]
        for key in found.keys() & expected.keys():
            told += difference(f"{path}.{key}", found[key], expected[key])
        return told
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(found, expected, strict=True))
        return [told for number, (one, two) in pairs for told in difference(f"{path}[{number}]", one, two)]
    plain = isinstance(expected, bool | int | float | str | None)
    same = expected == found and (not plain or type(found) is type(expected))
    return [] if same else [f"{path}: {str(found)[:200]!r} instead of {str(expected)[:200]!r}"]


def _parsed(line: bytes) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs), f"a key occurs twice in {line[:200]!r}"
        return dict(pairs)

    return json.loads(line.decode(), object_pairs_hook=unique)
