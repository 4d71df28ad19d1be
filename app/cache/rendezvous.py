"""Which of N shards a key belongs to: rendezvous hashing. Pure.

Each shard draws a number for the key and the highest wins (Thaler and Ravishankar, 1998). One shard more takes its
share evenly from all others; one less gives its own back to them; no other key moves.
"""

from collections.abc import Sequence

_MASK = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15


def shard_of(key: bytes, shards: int) -> int:
    """0 .. shards - 1. `key` is a digest: its first 8 bytes are as good as random."""
    if shards == 1:
        return 0
    drawn = int.from_bytes(key[:8], "little")
    return max(range(shards), key=lambda shard: _mix(drawn ^ ((shard + 1) * _GOLDEN & _MASK)))


def parts(keys: Sequence[bytes], shards: int) -> dict[int, list[int]]:
    """The indices of the keys of each shard that has any, in order."""
    found: dict[int, list[int]] = {}
    for index, key in enumerate(keys):
        found.setdefault(shard_of(key, shards), []).append(index)
    return found


def _mix(x: int) -> int:
    """splitmix64's finaliser: every bit of the input moves about half of the output's."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & _MASK
    return x ^ (x >> 31)
