"""Reads the YAML that Ruby left in text columns, as data only: nothing in it is ever executed.

Only the parser's events are used; what becomes of them is decided here. Symbols (``:name``) become strings,
tagged Ruby objects plain mappings. Depth and unfolded size have limits, and no step recurses, so that hostile
text costs no more than its length. Source: Psych's output for GitLab's serialised columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from export_core.sources.gitlab_db.ruby_scalars import BrokenYaml, json_key, plain, tagged

_DEEPEST = 100
_MOST_UNFOLDED = 16 << 20
"""Characters and values of a document whose aliases are all written out."""
_POSITION_HEAD = "--- !ruby/object:Gitlab::Diff::Position\nattributes:\n"
_PLAIN_LINE = re.compile(r"  :([a-z_]+):(?: (.*?))? *")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
# Texts that YAML 1.1 can only take for text: no indicator at the start, nothing number- or word-like.
_PLAIN_TEXT = re.compile(
    r"(?=[A-Za-z0-9_./]*[G-Zg-z/_])[A-Za-z_/.][A-Za-z0-9_./+@-]*|[0-9a-f]{40}(?:[0-9a-f]{24})?"
)
_WORDS = frozenset("null true false yes no on off y n .nan .inf".split())

_COMMON = ("base_sha", "start_sha", "head_sha", "old_path", "new_path", "position_type")
_OF_TYPE = {
    "text": ("old_line", "new_line", "line_range"),
    "image": ("width", "height", "x", "y"),
    "file": (),
}


def position(text: str) -> dict[str, Any] | None:
    """A note's position as GitLab prints it. Raises BrokenYaml."""
    attributes = _plain_position(text)
    if attributes is None:
        document = load(text)
        if document is None:
            return None
        attributes = document.get("attributes", document) if isinstance(document, dict) else None
        if not isinstance(attributes, dict):
            raise BrokenYaml("a position without attributes")
    kind = attributes.get("position_type") or "text"
    ordered = {name: attributes.get(name) for name in _COMMON}
    ordered["position_type"] = kind
    return ordered | {name: attributes.get(name) for name in _OF_TYPE.get(str(kind), ())}


def stored(text: str) -> Any:
    """A value as the loader of the embedded instance wrote it, nothing added. Raises BrokenYaml."""
    attributes = _plain_position(text)
    if attributes is not None:
        return attributes
    document = load(text)
    if text.startswith(_POSITION_HEAD) and isinstance(document, dict):
        return document["attributes"]
    return document


def _plain_position(text: str) -> dict[str, Any] | None:
    """The usual flat form, a hundred times faster than a YAML parser; None for everything else."""
    if not text.startswith(_POSITION_HEAD):
        return None
    found: dict[str, Any] = {}
    for line in text[len(_POSITION_HEAD) :].splitlines():
        matched = _PLAIN_LINE.fullmatch(line)
        if matched is None:
            return None
        key, value = matched[1], matched[2]
        if not value:
            found[key] = None
        elif _INTEGER.fullmatch(value):
            found[key] = int(value)
        elif _PLAIN_TEXT.fullmatch(value) and value.lower() not in _WORDS and not _looks_numeric(value):
            found[key] = value
        elif value in {"true", "false"}:
            found[key] = value == "true"
        else:
            return None
    return found


def _looks_numeric(value: str) -> bool:
    """``1e5``-like texts and all-digit shas: YAML may take them for numbers."""
    return value.isdigit() or re.fullmatch(r"[0-9]+e[0-9]+", value) is not None


def load(text: str) -> Any:
    """The first document as JSON-like values; None when there is none. Raises BrokenYaml."""
    import yaml

    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if isinstance(event, yaml.DocumentEndEvent):
                break
            builder.take(event, type(event).__name__)
    except (yaml.YAMLError, ValueError) as exc:
        raise BrokenYaml((str(exc).splitlines() or ["?"])[0]) from exc
    return builder.root.value


@dataclass(slots=True)
class _Item:
    """A finished value, and what it measures with all aliases in it written out."""

    value: Any = None
    size: int = 0
    is_merge: bool = False
    """Whether it is the key ``<<``."""


@dataclass(slots=True)
class _Open:
    """A collection that is being read."""

    anchor: str | None = None
    tag: str = ""
    mapping: bool = False
    items: list[_Item] = field(default_factory=list)


class _Builder:
    """Makes values of a parser's events, with a stack of its own."""

    def __init__(self) -> None:
        self.root = _Item()
        self._open: list[_Open] = []
        self._anchors: dict[str, _Item] = {}

    def take(self, event: Any, kind: str) -> None:
        """One event. Raises BrokenYaml."""
        if kind == "ScalarEvent":
            self._add(_scalar(event), event.anchor)
        elif kind in ("MappingStartEvent", "SequenceStartEvent"):
            if len(self._open) >= _DEEPEST:
                raise BrokenYaml(f"nested more than {_DEEPEST} deep")
            self._open.append(_Open(event.anchor, event.tag or "", kind == "MappingStartEvent"))
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            done = self._open.pop()
            self._add(_closed(done), done.anchor)
        elif kind == "AliasEvent":
            self._alias(event.anchor)

    def _alias(self, anchor: str) -> None:
        if anchor not in self._anchors:
            raise BrokenYaml(f"the alias {anchor!r} refers to itself or to nothing")
        self._add(self._anchors[anchor], None)

    def _add(self, item: _Item, anchor: str | None) -> None:
        if item.size > _MOST_UNFOLDED:
            raise BrokenYaml("its aliases unfold without bounds")
        if anchor is not None:
            self._anchors[anchor] = item
        if self._open:
            self._open[-1].items.append(item)
        else:
            self.root = item


def _scalar(event: Any) -> _Item:
    tag, quoted = event.tag, event.style not in (None, "")
    if tag is None or tag == "!":
        value = event.value if quoted or tag == "!" else plain(event.value)
    else:
        value = tagged(tag, event.value)
    return _Item(value, len(event.value) + 1, not quoted and tag is None and event.value == "<<")


def _closed(collection: _Open) -> _Item:
    size = 1 + sum(item.size for item in collection.items)
    if size > _MOST_UNFOLDED or not collection.mapping:
        return _Item([item.value for item in collection.items], size)
    found: dict[str, Any] = {}
    for key, item in zip(collection.items[::2], collection.items[1::2], strict=True):
        merged = list(_merged(item.value)) if key.is_merge else []
        if merged:
            for mapping in merged:
                found.update(mapping)
        else:
            found[json_key(key.value)] = item.value
    if collection.tag.startswith("!ruby/hash-with-ivars") and isinstance(found.get("elements"), dict):
        return _Item(found["elements"], size)
    return _Item(found, size)


def _merged(value: Any) -> Iterator[dict[str, Any]]:
    """The mappings of a merge key; none where its value is something else, and it is an ordinary key."""
    values = value if isinstance(value, list) else [value]
    if all(isinstance(one, dict) for one in values):
        yield from reversed(values)
