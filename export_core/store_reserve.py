"""Some room beside the job store, so that a full disk does not keep its owner from cleaning it.

The commands that could free the disk, ``clean`` and ``cancel``, have to write into the store first. Only they
may take it: an export that goes on would fill it up again.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

SIZE = 256 << 10
"""Bytes: some transactions, and the files that SQLite makes at opening."""
ROOMY = 16 << 20
"""Free bytes of a disk from which nothing is set aside any more."""


def keep(store: Path) -> None:
    """Set the room aside, unless it is there or the disk is nearly full."""
    place = _place(store)
    if place.exists() or shutil.disk_usage(store.parent).free < ROOMY:
        return
    with suppress(OSError):  # it is a help, no more
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.fchmod(descriptor, 0o600)  # whatever the umask took away
        with open(descriptor, "wb") as file:  # noqa: PTH123 -- a descriptor
            file.write(os.urandom(SIZE))  # zeros would take no room where the file system compresses


def give_up(store: Path) -> bool:
    """Give the room back to the disk; whether there was any."""
    try:
        _place(store).unlink()
    except OSError:
        return False
    return True


def _place(store: Path) -> Path:
    return store.with_name(f"{store.name}-reserve")
