"""A disk that can be filled: a file system of its own in memory, for whoever may mount one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def mounted(place: Path, size: str) -> Iterator[Path]:
    """A file system of ``size`` (``6m``) at a directory; skips the test where none can be mounted."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a file system cannot be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> None:
    """Take all the room there is but for some kilobytes."""
    with suppress(OSError), (place / "filling").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
