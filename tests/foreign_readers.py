"""Other people's programs that read a ``.tar.gz``, as far as they are installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

LISTERS = {
    "tar": ["tar", "-tzf"],
    "bsdtar": ["bsdtar", "-tzf"],
    "busybox": ["busybox", "tar", "-tzf"],
}
"""Print the members' names, a line each."""
INFLATERS = {
    "gzip": ["gzip", "-dc"],
    "pigz": ["pigz", "-dc"],
    "igzip": ["igzip", "-dc"],
    "ruby": ["ruby", "-rzlib", "-e", "STDOUT.binmode; STDOUT.write Zlib::GzipReader.open(ARGV[0]).read"],
}
"""Print the tar within."""


def run_tool(command: list[str], path: Path) -> bytes:
    """What a program says of a file, which it must not complain about."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run([*command, path], capture_output=True, check=True)
    assert done.stderr == b""
    return done.stdout
