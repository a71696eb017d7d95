"""Rows that lie in another database than their parents: one statement a batch instead of one a row."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence

_MARKER = re.compile(rb"\x01q([^\x02]*)\x02")

Fetch = Callable[[str, list[int]], Mapping[int, bytes]]
"""(path of the node, ids) to rendered objects by id; a row that does not exist is left out."""


def fill(lines: Sequence[bytes], fetch: Fetch) -> list[bytes]:
    """Replace the ``q`` markers: a found object with its key, nothing for a missing one."""
    wanted: dict[str, set[int]] = {}
    for line in lines:
        for payload in _MARKER.findall(line):
            path, id = json.loads(payload)
            wanted.setdefault(path, set()).add(id)
    found = {path: fetch(path, sorted(ids)) for path, ids in wanted.items()}

    def replace(match: re.Match[bytes]) -> bytes:
        path, id = json.loads(match[1])
        rendered = found[path].get(id)
        name = path.rsplit(".", 1)[-1]
        return b"" if rendered is None else b',"%s":%s' % (name.encode(), rendered)

    return [_MARKER.sub(replace, line) for line in lines]
