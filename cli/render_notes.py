"""What an archive has and GitLab 18.9 does not know, for people: a paragraph, or every key with its count."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence

from export_core.quantities import counted

_WIDEST = 100


def empty_lines(names: Sequence[str]) -> Iterator[str]:
    """Lines that name relations without a record; none when there are none."""
    if names:
        yield from folded(f"no records: {', '.join(names)}")


def unknown_lines(
    relations: Mapping[str, int | None], keys: Mapping[str, int], *, verbose: bool
) -> Iterator[str]:
    """Lines about unknown relations (and their records, where known) and keys (``issues.notes.id``)."""
    if verbose:
        yield from _every(relations, keys)
        return
    if relations:
        yield from folded(f"note: left out, as GitLab 18.9 has no such relation: {', '.join(relations)}")
    if keys:
        yield "note: left out, as GitLab 18.9 does not know these keys (--verbose counts their records):"
    for relation, names in _by_relation(keys).items():
        yield from folded(f"  {relation}: {', '.join(names)}")


def _every(relations: Mapping[str, int | None], keys: Mapping[str, int]) -> Iterator[str]:
    for name, records in relations.items():
        count = "" if records is None else f" ({counted(records, 'record')})"
        yield f"note: GitLab 18.9 has no relation {name}{count}; it is left out"
    for key, records in sorted(keys.items()):
        yield f"note: GitLab 18.9 does not know {key} ({counted(records, 'record')}); it is left out"


def _by_relation(keys: Mapping[str, int]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key in sorted(keys):
        relation, _, rest = key.partition(".")
        found.setdefault(relation, []).append(rest or "itself")
    return found


def folded(text: str) -> list[str]:
    """A text in lines that fit, those after the first set in."""
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    set_in = " " * (len(text) - len(text.lstrip()) + 4)
    return textwrap.wrap(
        text, max(width, 40), subsequent_indent=set_in, break_long_words=False, break_on_hyphens=False
    )
