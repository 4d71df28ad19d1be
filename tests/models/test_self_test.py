"""`app.encoders.self_test`: a model is tested before it serves."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from app.config.args import DEFAULT_TEXT_MODEL, SHAPES_CLIP, ModelArgs
from app.encoders import self_test
from app.encoders.clip import load_clip_model
from app.encoders.self_test import SelfTest
from app.encoders.text import TextModel, load_text_model
from app.encoders.weights import Weights, resolve
from app.errors import ModelUnavailable
from app.types import Vector
from tests.support.service_fakes import info_of

ROWS = np.random.default_rng(5).standard_normal((4, 16)).astype(np.float32)
UNKNOWN = Weights("me/my-model", Path("nowhere"), None, "0" * 64, "a test")


def turned(rows: Vector, row: int, cosine: float) -> Vector:
    """One row turned away from itself until its cosine with what it was is this, its length kept."""
    was = rows[row]
    side = np.roll(was, 1)
    side = side - was * (side @ was) / (was @ was)
    side *= np.linalg.norm(was) / np.linalg.norm(side)
    changed = rows.copy()
    changed[row] = cosine * was + np.sqrt(1 - cosine**2) * side
    return changed


def check(rows: Vector, folder: Path, weights: Weights = UNKNOWN, images: Vector | None = None) -> None:
    self_test.check(SelfTest(rows, images), weights, info_of(fingerprint="print"), folder)


def test_shipped_vectors_are_those_of_the_reference_libraries() -> None:
    from tests.models.make_self_test import made

    for model in made():
        reference, shipped = SelfTest.from_json(model), self_test.shipped()[model["name"]]
        np.testing.assert_allclose(shipped.texts, reference.texts, atol=1e-5)
        if reference.images is not None:
            assert shipped.images is not None
            np.testing.assert_allclose(shipped.images, reference.images, atol=1e-5)
    assert len(self_test.shipped()) == 2


def test_the_inputs_tell_vectors_apart() -> None:
    for model in self_test.shipped().values():
        for rows in (model.texts, model.images):
            if rows is not None:
                units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
                assert (units @ units.T - 2 * np.eye(len(rows))).max() < self_test.LEAST_COSINE - 0.02


@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_models_with_shipped_vectors_pass_on_every_backend_and_record_nothing(converted: Path, backend: str) -> None:
    args = ModelArgs(id=DEFAULT_TEXT_MODEL, backend=backend, device="cpu", cache_dir=str(converted))
    load_text_model(args, threads=2, offline=True)
    load_clip_model(args.model_copy(update={"id": SHAPES_CLIP}), threads=2, offline=True)
    assert list(converted.glob("*golden*")) == []


def test_a_model_that_makes_other_vectors_does_not_load(
    minilm_args: ModelArgs, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = TextModel.run
    monkeypatch.setattr(TextModel, "run", lambda self, batch, **profile: turned(run(self, batch, **profile), 2, 0.99))
    with pytest.raises(ModelUnavailable, match=r"all-MiniLM-L6-v2 failed its self-test: .* \(cosine 0\.9[89]"):
        load_text_model(minilm_args, threads=2, offline=True)


def test_the_first_load_is_recorded_and_later_ones_are_compared(tmp_path: Path) -> None:
    check(ROWS, tmp_path / "cache")
    [file] = (tmp_path / "cache").iterdir()
    assert file.name == "golden-print-fake-f32.json"
    check(ROWS, tmp_path / "cache")
    check(turned(ROWS, 1, 0.9995), tmp_path / "cache")
    with pytest.raises(ModelUnavailable, match=r"my-model failed its self-test: its vectors of known texts .* 0\.9980"):
        check(turned(ROWS, 1, 0.998), tmp_path / "cache")
    with pytest.raises(ModelUnavailable, match=r"lengths off by 5\.0%"):
        check(ROWS * np.float32(1.05), tmp_path / "cache")
    # Another fingerprint is another model.
    self_test.check(SelfTest(-ROWS), UNKNOWN, info_of(fingerprint="other print"), tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_the_same_weights_read_in_another_way_are_another_model(tmp_path: Path) -> None:
    known = resolve(DEFAULT_TEXT_MODEL, offline=True)
    rows = np.random.default_rng(6).standard_normal((4, 384)).astype(np.float32)
    for pooling, normalized, message in ((("mean",), False, None), (("cls",), True, None), (("mean",), True, "cosine")):
        info = info_of(fingerprint=f"{pooling} {normalized}", pooling=pooling, normalized=normalized)
        if message is None:
            self_test.check(SelfTest(rows), known, info, tmp_path)
        else:
            with pytest.raises(ModelUnavailable, match=message):
                self_test.check(SelfTest(rows), known, info, tmp_path)


def test_images_are_compared_too(tmp_path: Path) -> None:
    check(ROWS, tmp_path, images=ROWS[:2])
    check(ROWS, tmp_path, images=ROWS[:2])
    with pytest.raises(ModelUnavailable, match="vectors of known images"):
        check(ROWS, tmp_path, images=ROWS[2:])
    with pytest.raises(ModelUnavailable, match=r"\(1, 16\) image vectors instead of \(2, 16\)"):
        check(ROWS, tmp_path, images=ROWS[:1])


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_what_is_no_vector_is_never_recorded(tmp_path: Path, value: float) -> None:
    rows = ROWS.copy()
    rows[3] = value
    with pytest.raises(ModelUnavailable, match="zero or not finite"):
        check(rows, tmp_path)
    assert list(tmp_path.iterdir()) == []
    known = resolve(DEFAULT_TEXT_MODEL, offline=True)
    info = info_of(pooling=("mean",), normalized=True)
    with pytest.raises(ModelUnavailable, match="zero or not finite"):
        self_test.check(SelfTest(rows), known, info, tmp_path)


@pytest.mark.parametrize("content", ["", "{}", '{"texts": null, "images": null}', '{"texts": {"shape": [1]}}', "[1]"])
def test_a_damaged_recording_is_made_anew(tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "golden-print-fake-f32.json"
    file.write_text(content)
    with caplog.at_level(logging.WARNING):
        check(ROWS, tmp_path)
    assert "recorded anew" in caplog.text
    assert SelfTest.from_json(json.loads(file.read_text())).texts.tolist() == ROWS.tolist()


def test_a_folder_that_cannot_be_written_is_no_reason_not_to_serve(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        check(ROWS, tmp_path / "file" / "cache")
    assert "can't be written" in caplog.text
