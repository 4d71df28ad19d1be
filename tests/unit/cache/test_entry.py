import numpy as np
import pytest

from app.cache.entry import pack, sizes, split, tokens_of, unpack, unpack_each


def test_what_was_packed_comes_back() -> None:
    rows = np.array([[1.5, -2.25, 3e-38], [0.0, np.pi, 3.4e38]], np.float32)
    packed = pack(rows, [7, 2**31 + 5], [False, True])
    entries = split(packed, 2)
    assert [len(entry) for entry in entries] == [8 + 12, 8 + 12]
    back, tokens, truncated = unpack(entries)
    assert back.tobytes() == rows.tobytes()
    assert (tokens.tolist(), truncated.tolist()) == ([7, 2**31 + 5], [False, True])
    assert back.flags.c_contiguous


def test_rows_that_differ_in_size_come_back() -> None:
    rows = np.full(3, b"", object)
    rows[0], rows[2] = b"12345678", b"abcd"
    packed = pack(rows, [7, 0, 2**31 + 5], [False, False, True])
    assert sizes(rows) == (16, 8, 12)
    entries = split(packed, 3, sizes(rows))
    back, tokens, truncated = unpack_each(entries)
    assert back == [b"12345678", b"", b"abcd"]
    assert (tokens.tolist(), truncated.tolist()) == ([7, 0, 2**31 + 5], [False, False, True])
    assert tokens_of(entries) == 2**31 + 12
    alike = np.ones((2, 2), np.float32)
    assert sizes(alike) == ()
    assert unpack_each(split(pack(alike, [1, 1], [True, False]), 2))[0] == [alike[0].tobytes()] * 2


def test_entries_may_be_put_together_anew() -> None:
    first = split(pack(np.array([[1, 1], [2, 2]], np.float32), [1, 2], [True, False]), 2)
    second = split(pack(np.array([[3, 3]], np.float32), [3], [False]), 1)
    rows, tokens, truncated = unpack([second[0], first[1], first[0], second[0]])
    assert rows.tolist() == [[3, 3], [2, 2], [1, 1], [3, 3]]
    assert (tokens.tolist(), truncated.tolist()) == ([3, 2, 1, 3], [False, False, True, False])


def test_every_token_count_survives_though_it_stands_in_a_float_s_place() -> None:
    counts = [0, 1, 512, 2**23, 0x7F800000, 0x7FC00001, 0xFF800001, 2**32 - 1]  # infinities and NaNs among them
    rows = np.zeros((len(counts), 4), np.float32)
    _, tokens, _ = unpack(split(pack(rows, counts, [False] * len(counts)), len(counts)))
    assert tokens.tolist() == counts


def test_the_layout_is_fixed() -> None:
    """Entries outlive the process that wrote them: the cache actor stays over a redeploy."""
    packed = pack(np.array([[1.0, -2.0]], np.float32), [258], [True])
    assert packed.hex() == "02010000010000000000803f000000c0"


def test_packing_no_entries() -> None:
    assert pack(np.empty((0, 3), np.float32), [], []) == b""
    assert split(b"", 0) == []


def test_rows_may_be_strided_and_counts_must_fit() -> None:
    wide = np.arange(12, dtype=np.float32).reshape(3, 4)
    rows, _, _ = unpack(split(pack(wide[:, ::2], [1, 1, 1], [False] * 3), 3))
    assert rows.tolist() == [[0, 2], [4, 6], [8, 10]]
    with pytest.raises(ValueError, match="broadcast"):
        pack(wide, [1, 2], [False] * 3)
