"""YAML as Ruby's Psych writes it into GitLab's columns, beside the JSON that GitLab makes of it.

Made from values by rules of our own, so that no YAML parser is needed to know what is right.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

SHA = "0123456789abcdef0123456789abcdef01234567"
COMMON = ("base_sha", "start_sha", "head_sha", "old_path", "new_path", "position_type")
BY_TYPE = {
    "text": ("old_line", "new_line", "line_range"),
    "image": ("width", "height", "x", "y"),
    "file": (),
}


def scalar(value: Any) -> str:
    """A scalar in Psych's manner; texts are quoted, which Psych does where it must."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else json.dumps(value, ensure_ascii=True)


def position(values: Mapping[str, Any], *, plain: bool = False) -> str:
    """The column of a DiffNote; ``plain`` leaves texts unquoted."""
    lines = ["--- !ruby/object:Gitlab::Diff::Position", "attributes:"]
    for key, value in values.items():
        if isinstance(value, Mapping):
            lines.append(f"  :{key}:")
            lines += _range(value)
        else:
            written = str(value) if plain and isinstance(value, str) else scalar(value)
            lines.append(f"  :{key}: {written}".rstrip())
    return "\n".join(lines) + "\n"


def _range(value: Mapping[str, Any]) -> list[str]:
    lines = []
    for end, place in value.items():
        lines.append(f"    {end}:")
        lines += [f"      {key}: {scalar(inner)}".rstrip() for key, inner in place.items()]
    return lines


def exported(values: Mapping[str, Any]) -> dict[str, Any]:
    """What the facts say is exported of a position."""
    kind = values.get("position_type") or "text"
    found = {name: values.get(name) for name in COMMON} | {"position_type": kind}
    return found | {name: values.get(name) for name in BY_TYPE[kind]}


def _base(path: str, **more: Any) -> dict[str, Any]:
    return {
        "base_sha": SHA,
        "start_sha": SHA[::-1],
        "head_sha": "1" * 39 + "a",
        "old_path": path,
        "new_path": path,
        **more,
    }


_LINE = {"line_code": f"{SHA}_1_2", "type": "new", "old_line": None, "new_line": 2}
_POSITIONS: list[tuple[dict[str, Any], bool]] = [
    (_base("lib/a_b.rb", old_line=3, new_line=None, position_type="text", line_range=None), True),
    (_base("a", old_line=None, new_line=12, ignore_whitespace_change=False), True),
    (
        _base(
            "lib/ö \"quoted\".rb", position_type="text", old_line=1, new_line=2,
            line_range={"start": _LINE, "end": {**_LINE, "new_line": 9}},
        ),
        False,
    ),
    (_base("img.png", position_type="image", width=10, height=20, x=1, y=0), True),
    (_base("file.bin", position_type="file"), True),
    (_base("true", position_type="text", old_line=1, new_line=1), False),
    (_base("1e5", position_type="text", old_line=1, new_line=1), False),
    (_base(":colon", position_type="text", old_line=0, new_line=-1), False),
    (_base("012", position_type="text", old_line=7, new_line=7), False),
]  # fmt: skip

POSITIONS: dict[str, Any] = {position(values, plain=plain): exported(values) for values, plain in _POSITIONS}
"""Column text to exported object."""

MERGE_PARAMS: dict[str, Any] = {
    "---\nforce_remove_source_branch: '1'\n": {"force_remove_source_branch": "1"},
    "--- !ruby/hash:ActiveSupport::HashWithIndifferentAccess\nsha: abc\nauto_merge_strategy: merge_when\n": {
        "sha": "abc",
        "auto_merge_strategy": "merge_when",
    },
    "---\n:commit_message: |-\n  Two\n  lines: <&>\n:should: true\n:number: 12\n:none:\n": {
        "commit_message": "Two\nlines: <&>",
        "should": True,
        "number": 12,
        "none": None,
    },
    "--- {}\n": {},
}
"""Column text to exported object."""

LEGACY_DIFFS: dict[str, Any] = {
    "---\n:diff: |\n  @@ -1 +1 @@\n  -a\n  +b\n:new_path: x.rb\n:new_file: false\n": {
        "diff": "@@ -1 +1 @@\n-a\n+b\n",
        "new_path": "x.rb",
        "new_file": False,
    },
    "---\n- a\n- :b\n": ["a", "b"],
}
"""``notes.st_diff`` of a LegacyDiffNote to exported value."""
