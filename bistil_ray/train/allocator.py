"""What becomes of memory that training frees: kept for the next step of the optimiser, given back after the last.

Every step frees and asks for the same tensors. glibc hands large ones to the system and gets them back empty, page by
page, which costs up to a third of a step; heaps of other threads than the first it hands back whole. Other C libraries
have none of this, and nothing here does anything there.
"""

from __future__ import annotations

import ctypes
import gc
import os
from contextlib import suppress

LARGEST = 2**30
"""Bytes of the largest tensors that come from the heap; larger ones are the system's at once."""
ENVIRONMENT = {
    "GLIBC_TUNABLES": f"glibc.malloc.arena_max=1:glibc.malloc.mmap_threshold={LARGEST}:"
    f"glibc.malloc.trim_threshold={2**40}:glibc.malloc.top_pad={2**26}:glibc.malloc.hugetlb=1"
}
"""For processes that will train in any of their threads: one heap for all, in huge pages, that keeps what it has."""
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of mallopt, in <malloc.h>


def keep_freed() -> None:
    """Let this process, begun without ``ENVIRONMENT``, keep what its first thread frees from now on."""
    if "GLIBC_TUNABLES" in os.environ:
        return
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(MMAP_THRESHOLD, LARGEST)
        library.mallopt(TRIM_THRESHOLD, 2**31 - 1)


def let_go() -> None:
    """Give back what has been freed, also by models that hold themselves in cycles."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
