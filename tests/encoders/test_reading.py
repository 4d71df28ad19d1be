"""How texts behind prompts and token ids from clients are read, with MiniLM's own tokenizer."""

import pytest

from app.encoders.tokenizer import Tokenizer
from app.encoders.weights import resolve
from app.errors import InvalidItem
from app.types import Prompted, TokenIds, TokenizedText

HELLO = 7592


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(resolve("all-MiniLM-L6-v2").directory / "tokenizer.json", 8, prompt="so: ")


def ids(tokenizer: Tokenizer, *inputs: str | Prompted | TokenIds) -> list[list[int]]:
    outcomes = tokenizer.read(inputs)
    return [[*text.ids] for text in outcomes if isinstance(text, TokenizedText)]


def test_a_named_prompt_replaces_the_default_one(tokenizer: Tokenizer) -> None:
    default, plain, none, other, written = ids(
        tokenizer,
        "hello",
        Prompted("hello"),
        Prompted("hello", ""),
        Prompted("hello", "oh: "),
        Prompted("oh: hello", ""),
    )
    assert default == plain != none
    assert none == [101, HELLO, 102]
    assert other == written


def test_a_long_text_is_cut_at_either_end(tokenizer: Tokenizer) -> None:
    text = "one two three four five six seven eight"
    (end, start) = tokenizer.read([Prompted(text, ""), Prompted(text, "", "start")])
    assert isinstance(end, TokenizedText)
    assert isinstance(start, TokenizedText)
    whole = [101, 2028, 2048, 2093, 2176, 2274, 2416, 2698, 2809, 102]
    assert [*end.ids] == [*whole[:7], 102]
    assert [*start.ids] == [101, *whole[-7:]]
    assert end.truncated
    assert start.truncated


def test_the_models_own_ids_are_taken_as_they_are(tokenizer: Tokenizer) -> None:
    assert ids(tokenizer, TokenIds((101, HELLO, 102)), TokenIds((101, 102))) == [[101, HELLO, 102], [101, 102]]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((), "don't begin and end"),
        ((101,), "don't begin and end"),
        ((HELLO,), "don't begin and end"),
        ((101, HELLO), "don't begin and end"),
        ((HELLO, 102), "don't begin and end"),
        ((101, 30522, 102), "30522, the size of the vocabulary"),
        ((101, -1, 102), "size of the vocabulary"),
        ((101, *[HELLO] * 7, 102), "9 token ids; this model reads at most 8"),
    ],
)
def test_other_ids_are_refused_alone(tokenizer: Tokenizer, given: tuple[int, ...], words: str) -> None:
    good, bad = tokenizer.read(["hello", TokenIds(given)])
    assert isinstance(good, TokenizedText)
    assert isinstance(bad, InvalidItem)
    assert words in bad.message
