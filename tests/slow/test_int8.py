"""MiniLM in int8, converted as the service converts it."""

import json
from pathlib import Path

import numpy as np
import pytest

from app.config.args import DEFAULT_TEXT_MODEL, ModelArgs
from app.encoders.text import load_text_model
from tests.support.texts import varied

pytest.importorskip("nncf", reason="pip install '.[int8]'")


def test_minilm_is_good_enough_in_int8(tmp_path: Path) -> None:
    args = ModelArgs(id=DEFAULT_TEXT_MODEL, backend="openvino", device="cpu", cache_dir=str(tmp_path))
    models = [
        load_text_model(args.model_copy(update={"precision": name}), threads=2, offline=True)
        for name in ("f32", "int8")
    ]
    (proofs,) = [found for file in tmp_path.glob("*/proofs.json") if "int8" in (found := json.loads(file.read_text()))]
    assert (proofs["int8"]["cosine"], proofs["int8"]["spearman"]) == pytest.approx((0.9974, 0.9964), abs=1.5e-3)
    rows = [model.run([text.ids for text in model.tokenize(varied(200))]) for model in models]
    cosines = np.vecdot(*rows)
    assert cosines.mean() > 0.99
    assert cosines.min() > 0.92  # of one character, 600 times: 0.937
    assert models[1].info.precision == "int8"
