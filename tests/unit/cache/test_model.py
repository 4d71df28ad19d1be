"""`app.cache.lru` against a model too simple to be wrong, after every one of 120,000 random steps."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from loadtests.cache_walk import KEYS, TTL_MS, Pair, walk


def test_a_hundred_thousand_steps_with_a_life() -> None:
    for seed in range(10):
        pair = walk(seed, 10_000, TTL_MS)
        # The walk went where the rules are.
        assert pair.cache.evictions > 100
        assert pair.cache.expirations > 100


def test_twenty_thousand_steps_without_end() -> None:
    pair = walk(11, 20_000, 0)
    assert pair.cache.evictions > 1000


class CacheMachine(RuleBasedStateMachine):
    """The same, with hypothesis to shrink what it finds."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair(TTL_MS)

    @rule(
        key=st.sampled_from(KEYS),
        size=st.sampled_from([0, 60, 200, 10_000]),
        ttl_s=st.sampled_from([None, 0.0, 0.25, 0.5, 2.0]),
    )
    def put(self, key: bytes, size: int, ttl_s: float | None) -> None:
        self.pair.put(key, bytes(size), ttl_s)

    @rule(key=st.sampled_from(KEYS), with_ttl=st.booleans())
    def get(self, key: bytes, with_ttl: bool) -> None:
        self.pair.get(key, with_ttl)

    @rule(keys=st.lists(st.sampled_from(KEYS), max_size=4))
    def touch(self, keys: list[bytes]) -> None:
        self.pair.touch(keys)

    @rule(seconds=st.sampled_from([0.125, 0.25, 0.5, 1.0]))
    def advance(self, seconds: float) -> None:
        self.pair.model.advance(seconds)

    @rule()
    def clear(self) -> None:
        self.pair.clear()

    @invariant()
    def same(self) -> None:
        self.pair.check()


CacheMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=40)
TestCacheMachine = CacheMachine.TestCase
