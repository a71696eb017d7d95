"""``python -m benchmarks [NAME] [OPTION...]``: runs a benchmark; without a name, the export of a project."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

_DEFAULT = "export_speed"
_INNER = {"__main__", "__init__", "measure", "project", "prototype", "psql_files", "contenders", "report"}


def main(words: list[str]) -> int:
    """Run what the first word names."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in _INNER)
    if words and words[0] in ("-l", "--list"):
        print("\n".join(names))
        return 0
    name, rest = (words[0], words[1:]) if words and not words[0].startswith("-") else (_DEFAULT, words)
    if name not in names:
        print(f"no such benchmark: {name}; there are {', '.join(names)}", file=sys.stderr)
        return 2
    sys.argv = [f"python -m benchmarks {name}", *rest]
    runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
