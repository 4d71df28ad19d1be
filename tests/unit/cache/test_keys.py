import itertools

import pytest

from app.cache.keys import KeyMaker
from app.words import Modality


def cache_key(tenant: str, fingerprint: str, kind: Modality, content: bytes) -> bytes:
    return KeyMaker(tenant, fingerprint, kind).content(content)


def test_keys_stay_what_they_are() -> None:
    """A change here makes every stored entry unreachable: raise the version in `app.cache.keys` and know why."""
    key = cache_key("tenant", "fingerprint", "text", b"hello")
    assert key.hex() == "a24e540762079a98a6c55a4b2d851bb9"


def test_a_text_is_its_bytes() -> None:
    maker = KeyMaker("t", "f", "text")
    for text in ("", "hello", "naïve 日本語 🙂", "x" * 10_000):
        assert maker.text(text) == maker.content(text.encode()) == cache_key("t", "f", "text", text.encode())
    assert maker.text("hello") == maker.text("hello")  # one call leaves nothing behind for the next
    assert len(maker.text("hello")) == 16


def test_every_field_counts() -> None:
    keys = {
        cache_key("t", "f", "text", b"c"),
        cache_key("T", "f", "text", b"c"),
        cache_key("t", "F", "text", b"c"),
        cache_key("t", "f", "image", b"c"),
        cache_key("t", "f", "text", b"C"),
    }
    assert len(keys) == 5


def test_no_split_of_the_same_bytes_collides() -> None:
    """Every way to cut one string into tenant, fingerprint and content, for both kinds."""
    whole = "aaaaaa\x00text\x00\x00\x00\x00\x00\x00\x00\x04textaa"
    kinds: tuple[Modality, ...] = ("text", "image")
    cuts = [*itertools.combinations_with_replacement(range(len(whole) + 1), 2)]
    keys = {cache_key(whole[:i], whole[i:j], kind, whole[j:].encode()) for i, j in cuts for kind in kinds}
    assert len(keys) == len(cuts) * len(kinds)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("\ud800", "\ud801"),  # lone surrogates, which JSON can carry
        ("\ud800", "?"),
        ("é", "e\u0301"),  # composed and not: different tokens, so different keys
        ("a", "a "),
        ("", " "),
    ],
)
def test_texts_that_differ_have_keys_that_differ(one: str, other: str) -> None:
    maker = KeyMaker("t", "f", "text")
    assert maker.text(one) != maker.text(other)


def test_texts_that_belong_together_have_the_key_of_their_division_and_order() -> None:
    maker = KeyMaker("t", "f", "pair")
    divided = [
        ("ab", "c"),
        ("a", "bc"),
        ("abc", ""),
        ("", "abc"),
        ("abc",),
        ("c", "ab"),
        ("a", "b", "c"),
        ("\ud800", "c"),
    ]
    assert len({maker.texts(*texts) for texts in divided}) == len(divided)
    assert (
        maker.texts("ab", "c")
        == KeyMaker("t", "f", "pair").texts("ab", "c")
        != KeyMaker("u", "f", "pair").texts("ab", "c")
    )
