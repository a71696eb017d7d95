"""Results to stdout, messages to stderr."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TextIO

from export_core.errors import PackmuleError

if TYPE_CHECKING:
    from rich.console import Console

_UNBOUNDED = 10_000
"""Cells of a line that goes into a pipe or a file, where nothing is to be cut."""


class OutputLost(PackmuleError):
    """A result cannot be written to stdout: a full disk, for example."""


class Output:
    """The two streams of one run of packmule. ``json_printed`` says whether the one document is out."""

    def __init__(self) -> None:
        self.json_printed = False
        self._err: Console | None = None

    @property
    def console_err(self) -> Console:
        """A rich console on stderr, made when first used."""
        if self._err is None:
            from rich.console import Console

            self._err = Console(stderr=True, highlight=False)
        return self._err

    def json(self, document: Mapping[str, Any] | list[Any]) -> None:
        """Print the one JSON document of this run."""
        if self.json_printed:
            raise RuntimeError("a second JSON document was about to be printed")
        self.json_printed = True
        text = json.dumps(document, indent=2, ensure_ascii=False)
        if not _encodable(text):
            text = json.dumps(document, indent=2)
        with _stdout_at_fault():
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def out(self, item: Any) -> None:
        """Print a text as it is, or a rich renderable as wide as the terminal."""
        with _stdout_at_fault():
            sys.stdout.write(_drawn(item, sys.stdout) + "\n")

    def message(self, item: Any) -> None:
        """A line or a renderable for people, on stderr; that nobody is there to read it is no error."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(_drawn(item, sys.stderr) + "\n")
            sys.stderr.flush()


@contextlib.contextmanager
def _stdout_at_fault() -> Iterator[None]:
    """A reader that has left is not at fault; the boundary knows what to do about it."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise OutputLost(f"stdout cannot be written: {exc.strerror}") from exc


def _encodable(text: str) -> bool:
    """Whether stdout's encoding has all characters of a text, without a stand-in for any."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _drawn(item: Any, stream: TextIO) -> str:
    """A text as it is; a renderable as wide as the terminal, or as wide as it likes where there is none."""
    if isinstance(item, str):
        return item
    from rich.console import Console

    has_width = stream.isatty() or os.environ.get("COLUMNS", "").isdigit()
    console = Console(file=stream, highlight=False, width=None if has_width else _UNBOUNDED)
    with console.capture() as captured:
        console.print(item, soft_wrap=True)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())
