"""Somebody else's directory, damaged: the model is unavailable for one true reason, or nothing has changed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from app.encoders.text import TextModel
from app.errors import ModelUnavailable
from tests.support.tiny import load, write_dense, write_mpnet

pytestmark = pytest.mark.usefixtures("reads_in_this_process")

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dense(write_mpnet(tmp_path_factory.mktemp("whole") / "m"), 20)


@pytest.fixture(scope="module")
def static(tmp_path_factory: pytest.TempPathFactory, whole: Path) -> Path:
    directory = tmp_path_factory.mktemp("static") / "m"
    directory.mkdir()
    shutil.copy(whole / "tokenizer.json", directory)
    torch.manual_seed(0)
    save_file({"embeddings": torch.randn(400, 16)}, directory / "model.safetensors")
    (directory / "config.json").write_text(json.dumps({"model_type": "model2vec", "normalize": True}))
    return directory


def outcome(directory: Path) -> Any:
    """Its vectors, or why there are none."""
    try:
        return vectors(load(directory))
    except ModelUnavailable as error:
        return error.message


def vectors(model: TextModel) -> Any:
    return model.run([text.ids for text in model.tokenize(["a dog", "The quick brown fox"])])


JSON = b'{"a": [1'
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "all but the end": lambda data: data[:-1],
    "a pointer": lambda data: POINTER,
    "noise": lambda data: np.random.default_rng(1).bytes(len(data)),
    "null": lambda data: b"null",
    "an empty object": lambda data: b"{}",
    "an empty list": lambda data: b"[]",
    "a list of numbers": lambda data: b"[1, 2]",
    "a number": lambda data: b"17",
    "another object": lambda data: (
        b'{"model_type": 3, "hidden_size": "x", "prompts": [1], "in_features": {}, "version": null}'
    ),
    "deep": lambda data: b"[" * 100_000,
    "longer": lambda data: data + b"more",
}
FILES = [
    *("config.json", "modules.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"),
    *("sentence_bert_config.json", "config_sentence_transformers.json", "1_Pooling/config.json"),
    *("3_Dense/config.json", "3_Dense/model.safetensors"),
]


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_makes_the_model_unavailable_or_changes_nothing(name: str, whole: Path, tmp_path: Path) -> None:
    good = vectors(load(whole))
    wrong: dict[str, str] = {}
    for damage, change in {**DAMAGES, "gone": None}.items():
        directory = tmp_path / damage.replace(" ", "-")
        shutil.copytree(whole, directory)
        file = directory / name
        assert file.is_file()
        if change is None:
            file.unlink()
        else:
            file.write_bytes(change(file.read_bytes()))
        made = outcome(directory)
        if damage == "a pointer":
            assert made == f"The model's {name} is a Git LFS pointer, not the file; run git lfs pull."
        elif isinstance(made, str):
            assert "\n" not in made
        elif made.shape != good.shape or np.abs(made - good).max() > 1e-5:
            wrong[damage] = f"{made.shape}"
    # Settings that are not there are those of another model, which is served as what it says it is.
    assert wrong.keys() <= {"gone", "an empty object", "another object", "null"}, wrong


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_damaged_table_is_unavailable(name: str, static: Path, tmp_path: Path) -> None:
    assert vectors(load(static)).shape == (2, 16)
    for damage, change in DAMAGES.items():
        directory = tmp_path / damage.replace(" ", "-")
        shutil.copytree(static, directory)
        (directory / name).write_bytes(change((directory / name).read_bytes()))
        with pytest.raises(ModelUnavailable) as caught:
            load(directory)
        assert "\n" not in caught.value.message


@pytest.mark.parametrize("content", [None, "{}"])
def test_a_pooling_that_nothing_describes_is_not_guessed(whole: Path, tmp_path: Path, content: str | None) -> None:
    shutil.copytree(whole, tmp_path / "m")
    file = tmp_path / "m/1_Pooling/config.json"
    file.unlink() if content is None else file.write_text(content)
    with pytest.raises(ModelUnavailable, match=r"1_Pooling/config\.json is missing or empty"):
        load(tmp_path / "m")


def test_each_field_of_another_type_is_refused_or_changes_nothing(whole: Path, tmp_path: Path) -> None:
    """One value after the other, in each file."""
    good = vectors(load(whole))
    values: list[Any] = ["x", -1, None, [], {}]
    served = set()
    for name in ("config.json", "modules.json", "sentence_bert_config.json", "1_Pooling/config.json"):
        content = json.loads((whole / name).read_text())
        fields = [(i, key) for i, one in enumerate(content) for key in one] if isinstance(content, list) else [*content]
        for field in fields:
            for value in values:
                other = json.loads(json.dumps(content))
                if isinstance(field, tuple):
                    other[field[0]][field[1]] = value
                else:
                    other[field] = value
                directory = tmp_path / "m"
                shutil.copytree(whole, directory, dirs_exist_ok=True)
                (directory / name).write_text(json.dumps(other))
                made = outcome(directory)
                if isinstance(made, str):
                    assert "\n" not in made
                else:
                    assert made.shape[0] == len(good)
                    served.add((name, field))
    assert served


def test_weights_of_wrong_shapes_are_refused(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "m")
    file = tmp_path / "m" / "model.safetensors"
    state = load_file(file)
    key = next(key for key in state if key.endswith("word_embeddings.weight"))
    save_file(state | {key: state[key][:, :40].contiguous()}, file, {"format": "pt"})
    with pytest.raises(
        ModelUnavailable, match=r"word_embeddings.* shape \[\d+, 40\], and config\.json says \[\d+, 48\]\.$"
    ):
        load(tmp_path / "m")


def test_a_layer_of_another_shape_is_named_with_what_differs(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "m")
    file = tmp_path / "m" / "3_Dense" / "model.safetensors"
    state = load_file(file)
    for wrong, words in (
        (state | {"linear.weight": state["linear.weight"][:, :40].contiguous()}, "size mismatch for linear.weight"),
        ({"linear.weight": state["linear.weight"]}, "Missing key"),
    ):
        save_file(wrong, file)
        with pytest.raises(ModelUnavailable, match=rf"^The model's 3_Dense/model\.safetensors can't be read .*{words}"):
            load(tmp_path / "m")


def test_a_layer_for_vectors_of_another_size_is_named(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "m")
    file = tmp_path / "m" / "1_Pooling" / "config.json"
    file.write_text(json.dumps({"word_embedding_dimension": 48, "pooling_mode": ["mean", "max"]}))
    with pytest.raises(ModelUnavailable, match=r"3_Dense/config\.json .*it reads 48 numbers, and 96 come before it"):
        load(tmp_path / "m")


def test_shards_beside_the_whole_are_not_read(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "m")
    shutil.copy(whole / "model.safetensors", tmp_path / "m" / "model-00001-of-00002.safetensors")
    np.testing.assert_array_equal(vectors(load(tmp_path / "m")), vectors(load(whole)))


def test_shards_and_bin_weights(whole: Path, tmp_path: Path) -> None:
    from transformers import AutoModel

    good = vectors(load(whole))
    sharded = tmp_path / "sharded"
    shutil.copytree(whole, sharded)
    (sharded / "model.safetensors").unlink()
    AutoModel.from_pretrained(whole).save_pretrained(sharded, max_shard_size="40KB")
    shards = sorted(sharded.glob("model-*.safetensors"))
    assert len(shards) > 2
    np.testing.assert_allclose(vectors(load(sharded)), good, atol=1e-6)
    index = sharded / "model.safetensors.index.json"
    listed = index.read_text()
    index.write_text(listed.replace('"weight_map": {', f'"weight_map": {{"another.weight": "{shards[0].name}",'))
    with pytest.raises(ModelUnavailable, match=rf"{shards[0].name} lacks another.weight, which {index.name} lists"):
        load(sharded)
    index.unlink()
    with pytest.raises(ModelUnavailable, match=rf"The model's {index.name} is missing"):
        load(sharded)
    index.write_text(listed)
    shards[1].unlink()
    with pytest.raises(ModelUnavailable, match=rf"{shards[1].name} is missing: model.safetensors.index.json lists it"):
        load(sharded)

    pickled = tmp_path / "pickled"
    shutil.copytree(whole, pickled)
    for folder in (pickled, pickled / "3_Dense"):
        torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
    with pytest.raises(
        ModelUnavailable, match=r"no model\.safetensors; its pytorch_model\.bin is read with allow_bin_"
    ):
        load(pickled)
    np.testing.assert_allclose(vectors(load(pickled, allow_bin_weights=True)), good, atol=1e-6)
    for data in (b"", b"junk", POINTER, (pickled / "pytorch_model.bin").read_bytes()[:500]):
        (pickled / "pytorch_model.bin").write_bytes(data)
        with pytest.raises(ModelUnavailable):
            load(pickled, allow_bin_weights=True)
