"""Writes values of archives as the YAML that Ruby keeps in text columns; ``gitlab_db.ruby_yaml`` reads it.

Source of the forms: Psych's output for GitLab's serialised columns (``notes.position``, ``notes.st_diff``,
``merge_requests.merge_params``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

# Texts that every YAML reader takes for text without quotes: they begin like a word or a path, and hold a
# letter that no number, date or octal could.
_PLAIN = re.compile(r"(?=[A-Za-z0-9_./+@-]*[G-Zg-z/_])[A-Za-z_/][A-Za-z0-9_./+@-]*")
_SHA = re.compile(r"(?=[0-9a-f]*[a-df][0-9a-f]*[a-df])[0-9a-f]{40}(?:[0-9a-f]{24})?")
_WORDS = frozenset("null true false yes no on off y n".split())
_UNPRINTABLE = re.compile("[^\\x20-\\x7e\\xa0-\\ud7ff\\ue000-\\ufefe\\uff00-\\ufffd\\U00010000-\\U0010ffff]")


def position(attributes: Mapping[str, Any]) -> str:
    """A diff note's position: a tagged object with one key whose keys are symbols."""
    lines = _mapping(attributes, "  ", ":")
    return "--- !ruby/object:Gitlab::Diff::Position\nattributes:\n" + "".join(lines)


def document(value: Any, *, symbols: bool = False) -> str:
    """Any JSON value as a document; the keys of the outermost mapping as symbols if asked for."""
    if isinstance(value, dict) and value:
        return "---\n" + "".join(_mapping(value, "", ":" if symbols else ""))
    if isinstance(value, list) and value:
        return "---\n" + "".join(_sequence(value, ""))
    return f"--- {_scalar(value)}\n"


def _mapping(value: Mapping[str, Any], indent: str, mark: str = "") -> Iterator[str]:
    for key, inner in value.items():
        written = f"{mark}{key}" if _PLAIN.fullmatch(key) else _quoted(f"{mark}{key}")
        if isinstance(inner, dict) and inner:
            yield f"{indent}{written}:\n"
            yield from _mapping(inner, indent + "  ")
        elif isinstance(inner, list) and inner:
            yield f"{indent}{written}:\n"
            yield from _sequence(inner, indent)
        elif inner is None:
            yield f"{indent}{written}:\n"
        else:
            yield f"{indent}{written}: {_scalar(inner)}\n"


def _sequence(value: list[Any], indent: str) -> Iterator[str]:
    for inner in value:
        if isinstance(inner, (dict, list)) and inner:
            deeper = indent + "  "
            block = _mapping(inner, deeper) if isinstance(inner, dict) else _sequence(inner, deeper)
            yield f"{indent}- {''.join(block)[len(deeper) :]}"
        else:
            yield f"{indent}- {_scalar(inner)}\n"


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        fine = (_PLAIN.fullmatch(value) and value.lower() not in _WORDS) or _SHA.fullmatch(value)
        return value if fine else _quoted(value)
    if isinstance(value, float):
        text = repr(value)
        # YAML 1.1 knows an exponent only with a point and a sign.
        mantissa, mark, exponent = text.partition("e")
        point = mantissa if "." in mantissa else f"{mantissa}.0"
        return f"{point}{mark}{exponent}" if mark else text
    return "" if value is None else json.dumps(value)


def _quoted(text: str) -> str:
    """In double quotes, with escapes that JSON and YAML share."""
    return _UNPRINTABLE.sub(_escaped, json.dumps(text, ensure_ascii=False))


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
