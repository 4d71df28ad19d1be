"""Families of text models, as tiny twins: each backend against sentence-transformers, short, padded and long."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from transformers.masking_utils import sdpa_mask

from app.encoders.backends import openvino_models
from app.encoders.late import Window
from app.errors import ModelUnavailable, UnknownToken
from tests.support.families import FAMILIES, T5, VOCABULARY, Family, cosines, load, reference, texts, write

# All of them run in tests/slow.
FIVE = ["XLM-R", "DeBERTa-v2/v3", "ModernBERT", "Longformer", "Qwen3"]
# Four windows of those that look at a window.
MOST = 128

Twin = Callable[[str], Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("families")


@pytest.fixture(scope="module")
def twin(folder: Path) -> Twin:
    def made(name: str) -> Path:
        place = folder / name.replace("/", " ")
        return place if place.exists() else write(FAMILIES[name], place, MOST)

    return made


@pytest.mark.parametrize("name", FIVE)
def test_a_family_is_served_as_sentence_transformers_does(name: str, twin: Twin, folder: Path) -> None:
    for backend in ("auto", "torch"):
        model = load(twin(name), folder / "cache", backend)
        served = "openvino" if backend == "auto" and FAMILIES[name].openvino else "torch"
        assert (model.info.backend, model.info.precision) == (served, "f32")
        assert (model.info.note is None) == (backend == "torch" or FAMILIES[name].openvino)
        ids = [text.ids for text in model.tokenize(texts(MOST))]
        right = reference(twin(name), ids)
        assert float(right[0] @ right[1] / np.linalg.norm(right[0]) / np.linalg.norm(right[1])) < 0.99
        assert cosines(model, ids, right).min() > 0.9999


def test_of_a_longt5_the_encoder_serves(tmp_path: Path) -> None:
    family = Family("longt5", "LongT5's encoder", config=T5 | {"local_radius": 16})
    longt5 = write(family, tmp_path / "longt5", MOST)
    model = load(longt5, tmp_path / "cache", "torch")
    ids = [text.ids for text in model.tokenize(texts(MOST))]
    assert cosines(model, ids, reference(longt5, ids)).min() > 0.9999


@pytest.mark.parametrize("name", ["DeBERTa-v2/v3", "BigBird", "T5", "Gemma 3"])
def test_spans_are_pooled_alike_on_each_backend(name: str, twin: Twin, folder: Path) -> None:
    found = []
    for backend in ("auto", "torch"):
        model = load(twin(name), folder / "cache", backend)
        ids = model.tokenize(texts(MOST))[4].ids
        found.append(model.pool(Window(ids, [(0, len(ids)), (1, 6), (5, 12)], [0, 1, 2])).copy())
        assert np.abs(found[-1][0] - model.run([ids])[0]).max() <= 1e-5
    assert np.abs(found[0] - found[1]).max() <= 1e-5


def test_a_conversion_that_is_wrong_is_named_and_not_kept(
    twin: Twin, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    note = load(twin("Longformer"), folder / "cache").info.note or ""
    assert note.startswith("It runs on torch: OpenVINO does not make this model's vectors (")
    assert note.removeprefix("It runs on torch: ") in caplog.text
    with pytest.raises(ModelUnavailable, match=r"OpenVINO does not make this model's vectors \(.+\)\.$"):
        load(twin("Longformer"), folder / "cache", "openvino")
    kept = {file.name for file in (folder / "cache").glob("text-*/*") if not (file.parent / "model.xml").exists()}
    assert kept == {"proofs.json", "sha256.json"}


def test_lengths_and_cosine_of_a_wrong_conversion_are_named(
    twin: Twin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As it was before masks were made whole: beyond the local window of 32 tokens there are empty rows.
    monkeypatch.setattr("app.encoders.backends.torch_tracing.whole_mask", sdpa_mask)
    with pytest.raises(ModelUnavailable, match=r"\(cosine -1\.0000 instead of 0\.9999, .* at 32, 64, 128 tokens\)"):
        load(twin("ModernBERT"), tmp_path, "openvino")


@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_a_token_without_a_vector_is_refused(backend: str, twin: Twin, folder: Path) -> None:
    model = load(twin("T5"), folder / "cache", backend)
    good = model.run([[2, 7, 3]])
    with pytest.raises(UnknownToken, match=f"Token {VOCABULARY} of this item has no vector"):
        model.run([[2, 7, 3], [2, VOCABULARY, 3]])
    np.testing.assert_array_equal(model.run([[2, 7, 3]]), good)


def test_half_precision_that_is_not_good_enough_gives_way(
    twin: Twin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.encoders.backends.proof.LEAST_COSINE_IN_HALF", 0.99999999)
    if "bf16" not in openvino_models.precisions():
        pytest.skip("this CPU has no bf16")
    model = load(twin("XLM-R"), tmp_path, precision="auto")
    assert (model.info.backend, model.info.precision) == ("openvino", "f32")
    assert (model.info.note or "").startswith("It runs in f32: in bf16 it is not the same model (cosine ")
    with pytest.raises(ModelUnavailable, match="This model is not right in bf16"):
        load(twin("XLM-R"), tmp_path, "openvino", "bf16")


def test_a_model_that_torch_cannot_run_in_half_says_so(tmp_path: Path) -> None:
    place = write(FAMILIES["XLNet"], tmp_path / "xlnet", MOST)
    with pytest.raises(ModelUnavailable, match="can't run this model in bf16"):
        load(place, tmp_path, "torch", "bf16")
