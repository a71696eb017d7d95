"""Tells the allocator and the garbage collector what an export does: the same large buffers, over and over.

glibc gives freed memory back to the kernel and takes it anew page by page: a fifth of the client's CPU time,
measured, when batches of some megabytes come and go. Kept, it makes the peak no higher.
"""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
_KEEP = 128 << 20
_ANONYMOUS_FROM = 32 << 20
"""The most that glibc takes; larger buffers are given back at once."""


def keep_freed_memory() -> None:
    """Have this process keep what it frees. Does nothing where the C library is not glibc."""
    with suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_TRIM_THRESHOLD, _KEEP)
        mallopt(_MMAP_THRESHOLD, _ANONYMOUS_FROM)


def spare_modules() -> None:
    """Have the garbage collector leave alone what was imported up to now: it stays until the end anyway."""
    gc.freeze()
