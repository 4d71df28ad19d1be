"""Gives memory back to the system that is not needed any more: pages of weights, which are read from their mapped file
once, and what building kernels has freed, which the allocator would keep. Linux only."""

import ctypes
import logging
import sys
from pathlib import Path

log = logging.getLogger(__name__)

MADV_DONTNEED = 4  # <asm-generic/mman-common.h>
MAPS = Path("/proc/self/maps")


def release(file: Path) -> int:
    """Give back the pages of `file` that are mapped here, unwritten; returns the bytes. They can be read again."""
    if not sys.platform.startswith("linux"):
        return 0
    libc, released = ctypes.CDLL(None, use_errno=True), 0
    for start, length in mappings(MAPS.read_text(), str(file.resolve())):
        if libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), MADV_DONTNEED) == 0:
            released += length
        else:
            log.info("the pages of %s stay in memory (errno %d)", file.name, ctypes.get_errno())
    return released


def mappings(maps: str, name: str) -> list[tuple[int, int]]:
    """Address and length of the mappings of `name`. Writable private ones are left out: they may hold changes."""
    found = []
    for line in maps.splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5].removesuffix(" (deleted)") == name and "w" not in fields[1]:
            start, end = (int(address, 16) for address in fields[0].split("-"))
            found.append((start, end - start))
    return found


def trim() -> bool:
    """Give back what was freed; whether there was something (malloc_trim(3))."""
    if not sys.platform.startswith("linux"):
        return False
    trim_ = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
    return trim_ is not None and bool(trim_(ctypes.c_size_t(0)))
