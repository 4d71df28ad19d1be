"""Every file and option that says how texts become tokens, against sentence-transformers: tiny random models."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.config.args import ModelArgs
from app.encoders.text import TextModel, load_text_model
from app.errors import ModelUnavailable
from tests.support.tiny import CORPUS, write_distilbert, write_multilingual

TEXTS = [
    *(
        "a",
        "The QUICK brown Fox",
        "Straße naïve café 🙂",
        "東京で学習 中文字符",
        "<new> token newword here",
        "[SEP] [MASK] x",
    ),
    *CORPUS,
    *("word " * 200, " ".join(CORPUS * 10), "  two  spaces ", "line\nbreak\ttab"),
]


def load(directory: Path) -> TextModel:
    args = ModelArgs(id=str(directory), backend="torch", device="cpu", cache_dir=str(directory / "cache"))
    return load_text_model(args, threads=1, offline=True)


def compare(directory: Path, texts: Sequence[str] = TEXTS) -> TextModel:
    """Ids, vectors and the length."""
    from sentence_transformers import SentenceTransformer

    oracle = SentenceTransformer(str(directory), device="cpu", local_files_only=True)
    model = load(directory)
    mine = [list(text.ids) for text in model.tokenize(texts)]
    rows = [oracle.preprocess([text]) for text in texts]
    assert mine == [row["input_ids"][0][row["attention_mask"][0] == 1].tolist() for row in rows]
    # One by one: padded at the left, a model with a table of positions makes other vectors of a text in company.
    theirs = oracle.encode(texts, batch_size=1, show_progress_bar=False)
    vectors = model.run(mine)
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(theirs, axis=1)
    assert (np.vecdot(vectors, theirs) >= 0.99999 * lengths).all()
    return model


def edit(directory: Path, name: str, **settings: Any) -> None:
    file = directory / name
    known = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps(known | settings))


@pytest.fixture(scope="module")
def wordpiece(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lower-casing WordPiece model with rows for tokens to come."""
    from transformers import AutoModel

    directory = write_distilbert(tmp_path_factory.mktemp("wordpiece") / "m")
    model = AutoModel.from_pretrained(directory)
    model.resize_token_embeddings(model.config.vocab_size + 8)
    model.save_pretrained(directory)
    return directory


def lists_its_words(directory: Path) -> None:
    vocabulary = json.loads((directory / "tokenizer.json").read_text())["model"]["vocab"]
    (directory / "vocab.txt").write_text("".join(f"{word}\n" for word in sorted(vocabulary, key=vocabulary.get)))
    (directory / "tokenizer.json").unlink()


def adds_tokens(directory: Path) -> None:
    from transformers import AddedToken, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(directory)
    tokenizer.add_tokens([AddedToken("<new>", special=True, normalized=False), AddedToken("newword", lstrip=True)])
    tokenizer.save_pretrained(directory)


def adds_tokens_beside(directory: Path) -> None:
    """Only tokenizer_config.json knows them."""
    decoder = {"lstrip": False, "normalized": True, "rstrip": False, "single_word": False, "special": False}
    at = len(json.loads((directory / "tokenizer.json").read_text())["model"]["vocab"])
    tokens = {str(at): decoder | {"content": "<new>"}, str(at + 1): decoder | {"content": "newword"}}
    edit(directory, "tokenizer_config.json", added_tokens_decoder=tokens)


def of_config(**settings: Any) -> Callable[[Path], None]:
    return lambda directory: edit(directory, "tokenizer_config.json", **settings)


def of_sentence(**settings: Any) -> Callable[[Path], None]:
    return lambda directory: edit(directory, "sentence_bert_config.json", **settings)


# What is done to the directory, the most tokens, whether tokenizer.json alone reads otherwise.
FILES: dict[str, tuple[Callable[[Path], None], int, bool]] = {
    "as it is": (lambda directory: None, 510, False),
    "case kept": (of_config(do_lower_case=False), 510, True),
    "accents kept": (of_config(strip_accents=False), 510, True),
    "Chinese characters together": (of_config(tokenize_chinese_chars=False), 510, True),
    "truncation at the left": (of_config(truncation_side="left"), 510, False),
    "padding at the left": (of_config(padding_side="left"), 510, False),
    "lower case of sentence-transformers": (of_sentence(do_lower_case=True), 510, False),
    "tokenizer_args": (of_sentence(tokenizer_args={"truncation_side": "left", "do_lower_case": False}), 510, False),
    "processor_kwargs": (of_sentence(processor_kwargs={"model_max_length": 20, "strip_accents": False}), 20, False),
    "processing_kwargs": (of_sentence(processing_kwargs={"text": {"max_length": 12, "padding": "longest"}}), 12, False),
    "no special tokens": (of_sentence(processing_kwargs={"text": {"add_special_tokens": False}}), 510, False),
    "the tokenizer's own maximum": (of_sentence(max_seq_length=None), 512, False),
    "added tokens": (adds_tokens, 510, False),
    "added tokens beside tokenizer.json": (adds_tokens_beside, 510, True),
    "vocab.txt alone": (lists_its_words, 510, False),
    "the table of positions": (of_sentence(max_seq_length=5000), 512, False),
}


@pytest.mark.parametrize("name", FILES)
def test_wordpiece(name: str, wordpiece: Path, tmp_path: Path) -> None:
    change, most, differs = FILES[name]
    directory = tmp_path / "m"
    shutil.copytree(wordpiece, directory)
    change(directory)
    # Beyond its table sentence-transformers has no answer.
    model = compare(directory, TEXTS[:6] if name == "the table of positions" else TEXTS)
    assert model.info.max_tokens == most
    assert bool(model.info.note) is differs
    if differs:
        assert "probe texts otherwise than transformers" in str(model.info.note)


def test_what_a_call_is_given_and_this_service_ignores_is_refused(wordpiece: Path, tmp_path: Path) -> None:
    shutil.copytree(wordpiece, tmp_path / "m")
    edit(tmp_path / "m", "sentence_bert_config.json", processing_kwargs={"text": {"stride": 3}})
    with pytest.raises(ModelUnavailable, match="its processing_kwargs name stride"):
        load(tmp_path / "m")


@pytest.mark.parametrize("most", [0, -1])
def test_a_length_that_no_text_fits_is_refused(most: int, wordpiece: Path, tmp_path: Path) -> None:
    shutil.copytree(wordpiece, tmp_path / "m")
    edit(tmp_path / "m", "sentence_bert_config.json", max_seq_length=None)
    edit(tmp_path / "m", "tokenizer_config.json", model_max_length=most)
    with pytest.raises(
        ModelUnavailable, match=r"^The model's files let it read 0 tokens \(model_max_length\): none fits"
    ):
        load(tmp_path / "m")


def test_unigram(tmp_path: Path) -> None:
    directory = write_multilingual(tmp_path / "m")
    compare(directory)
    edit(directory, "tokenizer_config.json", truncation_side="left", add_prefix_space=False)
    compare(directory)


@pytest.mark.parametrize("prefix", [False, True])
def test_byte_level(prefix: bool, tmp_path: Path) -> None:
    from transformers import RobertaConfig, RobertaModel, RobertaTokenizer

    from tests.support.tiny import _clip_tokenizer

    words = [*_clip_tokenizer().get_vocab()]
    vocabulary = {word: index for index, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>", *words])}
    tokenizer = RobertaTokenizer(vocab=vocabulary, merges=[], add_prefix_space=prefix, model_max_length=10**9)
    directory = tmp_path / "m"
    tokenizer.save_pretrained(directory)
    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = RobertaConfig(vocab_size=len(tokenizer), max_position_embeddings=130, **size)
    RobertaModel(config).save_pretrained(directory)
    short = [text for text in TEXTS if len(text) < 100]
    assert compare(directory, short).info.max_tokens == 128


def test_sentencepiece_alone_is_refused_with_the_fix(wordpiece: Path, tmp_path: Path) -> None:
    shutil.copytree(wordpiece, tmp_path / "m")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "m" / name).unlink()
    (tmp_path / "m" / "spiece.model").write_bytes(b"\x0a\x0e\x0a\x05<unk>")
    with pytest.raises(ModelUnavailable, match=r"only tokenizer file is spiece\.model.* pip install sentencepiece"):
        load(tmp_path / "m")


SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
GROUPED = SMALL | {"num_key_value_heads": 2, "head_dim": 8}
LENGTHS: dict[str, tuple[str, dict[str, Any], dict[str, Any], int]] = {
    "rotary, by sentence-transformers": (
        *("nomic_bert", SMALL | {"max_position_embeddings": 2048}, {"max_seq_length": 8192}),
        8192,
    ),
    "rotary, by its configuration": ("nomic_bert", SMALL | {"max_position_embeddings": 2048}, {}, 2048),
    "a decoder": ("qwen3", GROUPED | {"max_position_embeddings": 4096}, {}, 4096),
    "relative, without an end": ("xlnet", {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 64}, {}, 8192),
    "a table with an offset": ("xlm-roberta", SMALL | {"max_position_embeddings": 514}, {"max_seq_length": 514}, 512),
    "a table": ("bert", SMALL | {"max_position_embeddings": 256}, {}, 256),
}


@pytest.mark.parametrize("name", LENGTHS)
def test_the_most_tokens_are_the_models_own(name: str, wordpiece: Path, tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModel

    kind, settings, sentence, most = LENGTHS[name]
    directory = tmp_path / "m"
    shutil.copytree(wordpiece, directory)
    for old in ("sentence_bert_config.json", "config.json", "model.safetensors"):
        (directory / old).unlink()
    edit(directory, "tokenizer_config.json", model_max_length=int(1e30))
    config = AutoConfig.for_model(kind, vocab_size=400, pad_token_id=1, **settings)
    AutoModel.from_config(config).save_pretrained(directory)
    edit(directory, "sentence_bert_config.json", **sentence)
    assert load(directory).info.max_tokens == most
