"""How texts behind prompts and token ids from clients are read, with MiniLM's own tokenizer."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer as Backend

from app.encoders.pairs import PairTokenizer
from app.encoders.tokenizer import FEW_CHARACTERS, Tokenizer
from app.encoders.weights import resolve
from app.errors import InvalidItem
from app.types import Pair, Prompted, TokenIds, TokenizedText

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


@pytest.mark.parametrize("count", [1, 100, FEW_CHARACTERS])
def test_few_texts_and_many_are_read_alike(tokenizer: Tokenizer, count: int) -> None:
    texts = [f"{index} {'word ' * (index % 5)}" for index in range(count)]
    assert tokenizer(texts) == [tokenizer([text])[0] for text in texts]
    assert len({tuple(one.ids) for one in tokenizer(texts)}) == count


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


def test_a_side_that_is_named_is_cut_whatever_the_file_says(tokenizer: Tokenizer, tmp_path: Path) -> None:
    file = resolve("all-MiniLM-L6-v2").directory / "tokenizer.json"
    other = Backend.from_file(str(file))
    other.enable_truncation(8, direction="left")
    other.save(str(tmp_path / "tokenizer.json"))
    left = Tokenizer(tmp_path / "tokenizer.json", 8)
    assert (tokenizer.cut, left.cut) == ("end", "start")
    text = "one two three four five six seven eight"
    whole = [101, 2028, 2048, 2093, 2176, 2274, 2416, 2698, 2809, 102]
    start, end = [101, *whole[-7:]], [*whole[:7], 102]
    own, *named = ids(left, text, Prompted(text, ""), Prompted(text, "", "start"), Prompted(text, "", "end"))
    assert (own, named) == (start, [start, start, end])
    assert ids(tokenizer, *(Prompted(text, "", cut) for cut in (None, "start", "end"))) == [end, start, end]
    pairs = PairTokenizer(tmp_path / "tokenizer.json", 8), PairTokenizer(file, 8)
    read = [[[*one.ids] for one in two.read([Pair("a", text, cut) for cut in (None, "start", "end")])] for two in pairs]  # type: ignore[union-attr]
    assert read[0][0] == read[0][1] == read[1][1] != read[0][2] == read[1][0] == read[1][2]


def test_ids_are_decoded(tokenizer: Tokenizer) -> None:
    arrays = [[101, HELLO, 2088, 102], [HELLO], [101]]
    assert tokenizer.decode(arrays, ["a", "b", "c"], True) == ["hello world", "hello", ""]
    assert tokenizer.decode(arrays, ["a", "b", "c"], False) == ["[CLS] hello world [SEP]", "hello", "[CLS]"]
    [text] = tokenizer.tokens(["Hello World, again!"], "", True)
    assert tokenizer.decode([[token.id for token in text]], ["a"], True) == ["hello world, again!"]
    for wrong in (30522, 2**31 - 1):
        with pytest.raises(InvalidItem, match=f"`b` has the id {wrong}") as caught:
            tokenizer.decode([[1], [1, wrong, 2]], ["a", "b"], True)
        assert caught.value.param == "b"


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


def test_what_a_text_is_made_of(tokenizer: Tokenizer) -> None:
    [tokens] = tokenizer.tokens(["Größe wörtchen 東京 hello"], "", True)
    whole = "Größe wörtchen 東京 hello".encode()
    assert (tokens[0].id, tokens[0].text, tokens[0].special) == (101, "[CLS]", True)
    assert (tokens[0].start, tokens[0].stop, tokens[-1].id) == (None, None, 102)
    assert tokens[-2].id == HELLO
    for token in tokens[1:-1]:
        assert not token.special
        assert whole[token.start : token.stop].decode() == token.text


def test_tokens_behind_prompts_without_special_ones_and_uncut(tokenizer: Tokenizer) -> None:
    default, other, bare = (tokenizer.tokens(["hello"], prompt, False)[0] for prompt in (None, "oh: ", ""))
    assert [token.text for token in default] == ["so", ":", "hello"]
    assert [(token.text, token.start) for token in other] == [("oh", 0), (":", 2), ("hello", 4)]
    assert [(token.id, token.start, token.stop) for token in bare] == [(HELLO, 0, 5)]
    assert len(tokenizer.tokens(["hello " * 500], "", True)[0]) == 502
    assert len(ids(tokenizer, "hello " * 500)[0]) == 8
