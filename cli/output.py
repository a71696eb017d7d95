"""Results to stdout, messages to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


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
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def out(self, item: Any) -> None:
        """Print a text as it is, or a rich renderable as wide as the terminal."""
        if isinstance(item, str):
            sys.stdout.write(item + "\n")
            return
        from rich.console import Console

        Console(highlight=False).print(item)

    def message(self, text: str) -> None:
        """A line for people, on stderr."""
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
