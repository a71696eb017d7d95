"""A page's text as a Markdown file: line ends, and the optional YAML front matter."""

from __future__ import annotations

import re
from json.encoder import encode_basestring

from export_core.sources.growi.frozen import FrozenPage

_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*$", re.DOTALL | re.MULTILINE)
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def unix_lines(body: str) -> str:
    """The text with LF line ends; old pages hold CR and CRLF."""
    return body.replace("\r\n", "\n").replace("\r", "\n") if "\r" in body else body


def title(path: str) -> str:
    """What a page is called: the last part of its path."""
    return path.rpartition("/")[2] or path


def with_front_matter(page: FrozenPage, body: str) -> str:
    """Head a text with its metadata. Front matter that is there already keeps its keys; ours are added to it,
    because a second block would be shown as text.
    """
    block = _FRONT_MATTER.match(body)
    present = {line.partition(":")[0].strip() for line in block[1].splitlines()} if block else set()
    head = "".join(
        f"{key}: {_scalar(value)}\n" for key, value in _metadata(page).items() if value and key not in present
    )
    return f"---\n{head}{body[block.start(1) :]}" if block else f"---\n{head}---\n\n{body}"


def _metadata(page: FrozenPage) -> dict[str, str | None]:
    return {
        "title": title(page.path),
        "path": page.path,
        "author": page.author,
        "created": page.created,
        "updated": page.updated,
        "revision": page.revision,
    }


def _scalar(text: str) -> str:
    """A JSON string, which YAML reads as the same text; quoting spares every rule about plain scalars.
    YAML counts more characters as line breaks or unprintable than JSON; those are escaped as well.
    """
    quoted = encode_basestring(text)
    if quoted.isascii() and "\x7f" not in quoted:
        return quoted
    return _NOT_IN_YAML.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)
