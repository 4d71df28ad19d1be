"""Giving back the memory of mapped files, and what was freed."""

import mmap
import re
import sys
from pathlib import Path

import pytest

from app.system import memory

MIB = 2**20


def resident(file: Path) -> int:
    """Bytes of `file` that count as this process's memory."""
    total, ours = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            ours = line.endswith(str(file))
        elif ours and line.startswith("Rss:"):
            total += int(line.split()[1]) * 1024
    return total


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="madvise and /proc/self/maps are Linux's")
def test_pages_are_given_back_and_read_again_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "weights of a model.bin"
    file.write_bytes(bytes(range(256)) * (4 * MIB // 256))
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        before = bytes(mapped)
        assert resident(file) == 4 * MIB
        assert memory.release(file) == 4 * MIB
        assert resident(file) == 0
        assert bytes(mapped) == before


def test_only_unwritten_mappings_of_that_file_count() -> None:
    maps = (
        "1000-3000 r--p 00000000 fd:00 1 /models/model.bin\n"
        "4000-5000 r--p 00000000 fd:00 1 /models/model.bin.old\n"
        "5000-6000 rw-p 00000000 fd:00 1 /models/model.bin\n"
        "6000-7000 r--s 00000000 fd:00 1 /models/model.bin (deleted)\n"
        "7000-8000 rw-p 00000000 00:00 0\n"
    )
    assert memory.mappings(maps, "/models/model.bin") == [(0x1000, 0x2000), (0x6000, 0x1000)]


def test_a_system_without_such_a_call_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert memory.release(tmp_path / "model.bin") == 0
    assert not memory.trim()


def anonymous() -> int:
    """Bytes of this process's memory that are of no file."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon:")]
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="malloc_trim is glibc's")
def test_what_was_freed_is_given_back() -> None:
    memory.trim()
    # Each below what the allocator maps by itself, so that it comes from the heap; the last keeps the others below it.
    pieces = [bytes(64 * 1024) for _ in range(64 * 16)]
    last, full = pieces.pop(), anonymous()
    pieces.clear()
    assert memory.trim()
    assert anonymous() < full - 32 * MIB
    assert len(last) == 64 * 1024
