"""The models the owner names, as tiny twins, through the product's own path against the reference libraries."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.config.args import ModelArgs
from app.encoders.clip import ClipModel, load_clip_model
from app.encoders.text import TextModel, load_text_model
from app.errors import ModelUnavailable
from app.types import Vector
from tests.support.pictures import pictures
from tests.support.tiny import CLIP_MODELS, CORPUS, TEXT_MODELS, write_clip, write_dense, write_mpnet, write_pooling

pytestmark = [
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Converting a tensor to a Python boolean"),
]

SIZES = ((64, 64), (100, 200), (91, 37), (57, 56), (77, 301), (20, 20), (480, 640))
TEXTS = ["a", "", "The QUICK brown Fox", "Straße naïve 🙂 東京", *CORPUS, "word " * 200, " ".join(CORPUS * 40)]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "converted"


def load_text(directory: Path, backend: str, cache: Path) -> TextModel:
    args = ModelArgs(id=str(directory), backend=backend, device="cpu", precision="f32", cache_dir=str(cache))
    return load_text_model(args, threads=2, offline=True)


def encode(model: TextModel, texts: list[str]) -> Vector:
    return model.run([text.ids for text in model.tokenize(texts)])


def reference(directory: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(directory), device="cpu", local_files_only=True)


def compare(directory: Path, cache: Path, texts: list[str] = TEXTS) -> TextModel:
    """Both backends against sentence-transformers, and their tokens against its tokens; the torch model."""
    oracle = reference(directory)
    expected = oracle.encode(texts, show_progress_bar=False)
    prompt = oracle.prompts.get(oracle.default_prompt_name, "")
    tokens = [oracle.preprocess([prompt + text])["input_ids"][0].tolist() for text in texts]
    for backend in ("openvino", "torch"):
        model = load_text(directory, backend, cache)
        assert [list(text.ids) for text in model.tokenize(texts)] == tokens
        vectors = encode(model, texts)
        assert np.abs(vectors - expected).max() <= 1e-4
        assert vectors.shape[1] == model.info.dimensions == oracle.get_embedding_dimension()
        assert model.info.max_tokens == oracle.max_seq_length
    # The comparison would mean nothing if all vectors were alike.
    assert np.abs(expected[2] - expected[4]).max() > 0.05
    return model


@pytest.mark.parametrize("name", TEXT_MODELS)
def test_text_models_make_the_vectors_of_sentence_transformers(name: str, tmp_path: Path, cache: Path) -> None:
    model = compare(TEXT_MODELS[name](tmp_path / name), cache)
    assert [text.truncated for text in model.tokenize(TEXTS)][-1] is True
    assert [text.truncated for text in model.tokenize(TEXTS)][:-2] == [False] * (len(TEXTS) - 2)
    assert model.info.normalized is (name == "all-mpnet-base-v2")


@pytest.mark.parametrize(
    "modes", ["cls", "max", "lasttoken", "weightedmean", "mean_sqrt_len_tokens", ["cls", "mean"]], ids=str
)
def test_pooling_modes(modes: Any, tmp_path: Path, cache: Path) -> None:
    compare(write_pooling(write_mpnet(tmp_path / "m"), modes), cache, TEXTS[:8])


def test_the_flags_of_older_files_name_the_pooling_too(tmp_path: Path, cache: Path) -> None:
    compare(write_pooling(write_mpnet(tmp_path / "m"), ["max", "cls"], old_format=True), cache, TEXTS[:8])


def test_a_dense_module_changes_the_dimensions(tmp_path: Path, cache: Path) -> None:
    model = compare(write_dense(write_mpnet(tmp_path / "m"), 24), cache, TEXTS[:8])
    assert model.info.dimensions == 24
    assert model.info.normalized is False


def test_lower_case_and_the_default_prompt_are_honoured(tmp_path: Path, cache: Path) -> None:
    prompts = {"prompts": {"query": "the lazy query: ", "document": ""}, "default_prompt_name": "query"}
    directory = TEXT_MODELS["paraphrase-multilingual-MiniLM-L12-v2"](tmp_path / "m", lower=True, prompts=prompts)
    oracle = reference(directory)
    model = compare(directory, cache, TEXTS)
    assert model.info.prompts == prompts["prompts"]
    np.testing.assert_allclose(encode(model, ["The FOX"]), encode(model, ["the fox"]))
    plain = model.run([text.ids for text in model.tokenize(["a dog"], prompt="")])
    np.testing.assert_allclose(plain, oracle.encode(["a dog"], prompt=""), atol=1e-4)
    assert np.abs(plain - encode(model, ["a dog"])).max() > 1e-3


def test_a_plain_transformers_directory_is_mean_pooled(tmp_path: Path, cache: Path) -> None:
    directory = write_mpnet(tmp_path / "m")
    for name in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        (directory / name).unlink()
    model = load_text(directory, "openvino", cache)
    expected = reference(directory).encode(TEXTS[:8])
    np.testing.assert_allclose(encode(model, TEXTS[:8]), expected, atol=1e-4)
    assert model.info.max_tokens == 512


def test_a_directory_without_tokenizer_json_gets_one_made(tmp_path: Path, cache: Path) -> None:
    directory = TEXT_MODELS["msmarco-distilbert-base-v3"](tmp_path / "m")
    vocab = load_vocabulary(directory)
    (directory / "vocab.txt").write_text("".join(f"{token}\n" for token in vocab))
    (directory / "tokenizer.json").unlink()
    compare(directory, cache, TEXTS[:8])
    assert len(list(cache.glob("tokenizer-*.json"))) == 1


def load_vocabulary(directory: Path) -> list[str]:
    from tokenizers import Tokenizer

    vocab = Tokenizer.from_file(str(directory / "tokenizer.json")).get_vocab()
    return sorted(vocab, key=vocab.__getitem__)


def test_missing_weights_are_an_error_not_random_numbers(tmp_path: Path, cache: Path) -> None:
    from safetensors.torch import load_file, save_file

    directory = write_mpnet(tmp_path / "m")
    state = load_file(directory / "model.safetensors")
    del state["encoder.layer.0.attention.attn.q.weight"]
    save_file(state, directory / "model.safetensors", {"format": "pt"})
    for backend in ("openvino", "torch"):
        with pytest.raises(ModelUnavailable, match=r"weights are missing: .*attn\.q\.weight"):
            load_text(directory, backend, cache)


def test_a_damaged_conversion_is_made_again(tmp_path: Path, cache: Path) -> None:
    directory = write_mpnet(tmp_path / "m")
    expected = encode(load_text(directory, "openvino", cache), TEXTS[:4])
    (folder,) = (entry for entry in cache.iterdir() if entry.is_dir())
    kept = sorted(entry.name for entry in cache.iterdir())
    content = bytearray((folder / "model.bin").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (folder / "model.bin").write_bytes(content)
    np.testing.assert_array_equal(encode(load_text(directory, "openvino", cache), TEXTS[:4]), expected)
    (folder / "model.xml").unlink()
    np.testing.assert_array_equal(encode(load_text(directory, "openvino", cache), TEXTS[:4]), expected)
    assert sorted(entry.name for entry in cache.iterdir()) == kept


@pytest.mark.parametrize("backend", ["openvino", "torch"])
@pytest.mark.parametrize("name", CLIP_MODELS)
def test_clip_models_make_the_vectors_of_transformers(name: str, backend: str, tmp_path: Path, cache: Path) -> None:
    import torch
    from transformers import CLIPModel, CLIPTokenizer
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    directory = write_clip(tmp_path / name, name)
    args = ModelArgs(id=str(directory), backend=backend, device="cpu", precision="f32", cache_dir=str(cache))
    model: ClipModel = load_clip_model(args, threads=2, offline=True)
    oracle = CLIPModel.from_pretrained(directory).eval()
    tokenizer = CLIPTokenizer.from_pretrained(directory)
    processor = CLIPImageProcessorPil.from_pretrained(directory)
    assert model.info.kinds == ("text", "image")
    assert (model.info.max_tokens, model.info.dimensions) == (77, 40)

    tokens = tokenizer(TEXTS, padding=True, truncation=True, max_length=77, return_tensors="pt")
    mine = model.text.tokenize(TEXTS)
    lengths = tokens["attention_mask"].sum(dim=1).tolist()
    assert [list(text.ids) for text in mine] == [
        row[:length] for row, length in zip(tokens["input_ids"].tolist(), lengths, strict=True)
    ]
    assert mine[-1].truncated
    with torch.inference_mode():
        expected = oracle.get_text_features(**tokens).pooler_output.numpy()
    assert np.abs(model.text.run([text.ids for text in mine]) - expected).max() <= 1e-4
    assert np.abs(expected[2] - expected[4]).max() > 0.05

    images, preprocessing = pictures(*SIZES), model.image.preprocessing
    pixels = [preprocessing.normalize(preprocessing.fit(image)) for image in images]
    theirs = processor(images, return_tensors="pt")["pixel_values"]
    np.testing.assert_array_equal(np.stack(pixels), theirs.numpy())
    with torch.inference_mode():
        expected = oracle.get_image_features(pixel_values=theirs).pooler_output.numpy()
    vectors = model.image.run(pixels)
    assert np.abs(vectors - expected).max() <= 1e-4
    assert np.abs(expected[0] - expected[1]).max() > 0.05
    assert model.image.run([]).shape == (0, 40)
    model.image.warm(4)


def test_each_loader_refuses_the_other_kind_of_model(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(ModelUnavailable, match="is a CLIP model"):
        load_text(write_clip(tmp_path / "clip", "clip-vit-base-patch32"), "torch", cache)
    with pytest.raises(ModelUnavailable, match=r"is not a CLIP model .*'mpnet'"):
        load_clip_model(ModelArgs(id=str(write_mpnet(tmp_path / "m"))), threads=1, offline=True)
