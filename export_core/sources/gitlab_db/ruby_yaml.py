"""Reads the YAML that Ruby left in text columns, as data only: nothing in it is ever executed.

Symbols (``:name``) become strings, tagged Ruby objects become plain mappings, aliases are few or refused
(a document may otherwise unfold to any size). Source: Psych's output for GitLab's serialised columns.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

_MOST_ALIASES = 100
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


class BrokenYaml(ValueError):
    """A column that is not YAML, or YAML that unfolds without bounds."""


def position(text: str) -> dict[str, Any] | None:
    """A note's position as GitLab prints it. Raises BrokenYaml."""
    attributes = _plain_position(text)
    if attributes is None:
        document = load(text)
        if document is None:
            return None
        attributes = document.get("attributes", document) if isinstance(document, dict) else {}
    kind = attributes.get("position_type") or "text"
    ordered = {name: attributes.get(name) for name in _COMMON}
    ordered["position_type"] = kind
    return ordered | {name: attributes.get(name) for name in _OF_TYPE.get(kind, ())}


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
    """A YAML document as JSON-like values. Raises BrokenYaml."""
    import yaml

    try:
        return _json_like(yaml.load(text, Loader=_loader()))  # noqa: S506 - a loader that only makes data
    except (yaml.YAMLError, RecursionError, ValueError) as exc:
        raise BrokenYaml(str(exc).splitlines()[0]) from exc


@cache
def _loader() -> type[Any]:
    import yaml

    base: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class RubyLoader(base):  # type: ignore[misc]
        """Data only; unknown tags are ignored."""

        aliases = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.events.AliasEvent):
                self.aliases += 1
                if self.aliases > _MOST_ALIASES:
                    raise BrokenYaml(f"more than {_MOST_ALIASES} aliases")
            return super().compose_node(parent, index)

    def untagged(loader: Any, _suffix: str, node: Any) -> Any:
        if isinstance(node, yaml.MappingNode):
            return loader.construct_mapping(node, deep=True)
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return loader.construct_scalar(node)

    # Only unquoted: the text ":a" is written with quotes, and stays as it is.
    RubyLoader.add_implicit_resolver("!ruby/plain-symbol", re.compile(":.+"), [":"])
    RubyLoader.add_constructor(
        "!ruby/plain-symbol", lambda loader, node: loader.construct_scalar(node)[1:].strip('"')
    )
    RubyLoader.add_multi_constructor("!", untagged)
    RubyLoader.add_multi_constructor("tag:ruby.yaml.org,2002:", untagged)
    # Times stay the text that they are: JSON has none.
    RubyLoader.add_constructor(
        "tag:yaml.org,2002:timestamp", lambda loader, node: loader.construct_scalar(node)
    )
    RubyLoader.add_constructor("tag:yaml.org,2002:binary", lambda loader, node: loader.construct_scalar(node))
    return RubyLoader


def _json_like(value: Any, depth: int = 0) -> Any:
    if depth > 100:
        raise BrokenYaml("nested more than 100 deep")
    if isinstance(value, dict):
        return {str(key): _json_like(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_like(inner, depth + 1) for inner in value]
    return value
