"""Memory that was freed and that the allocator keeps: given back to the system. glibc; elsewhere nothing happens.

Building kernels takes and frees tens of megabytes which a model that only runs will not ask for again.
"""

import ctypes
import sys


def trim() -> bool:
    """Whether something was given back (malloc_trim(3))."""
    if not sys.platform.startswith("linux"):
        return False
    trim_ = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
    return trim_ is not None and bool(trim_(ctypes.c_size_t(0)))
