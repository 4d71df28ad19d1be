"""Giving back memory that was freed."""

import sys
from pathlib import Path

import pytest

from app.system import heap

MIB = 2**20


def resident() -> int:
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon:")]
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="malloc_trim is glibc's")
def test_what_was_freed_is_given_back() -> None:
    heap.trim()
    # Each below what the allocator maps by itself, so that it comes from the heap; the last keeps the others below it.
    pieces = [bytes(64 * 1024) for _ in range(64 * 16)]
    last, full = pieces.pop(), resident()
    pieces.clear()
    assert heap.trim()
    assert resident() < full - 32 * MIB
    assert len(last) == 64 * 1024


def test_a_system_without_such_a_call_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not heap.trim()
