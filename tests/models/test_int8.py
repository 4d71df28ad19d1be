"""int8 with nncf itself, on a tiny twin; tests/slow has MiniLM."""

from pathlib import Path

import numpy as np
import pytest

from app.encoders.backends import int8, openvino_models
from app.errors import ModelUnavailable
from tests.support.families import FAMILIES, load, texts, write

pytest.importorskip("nncf", reason="pip install '.[int8]'")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_a_model_is_quantised_once_and_judged_by_held_out_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin = write(FAMILIES["BERT"], tmp_path / "twin", 128)
    whole = load(twin, tmp_path / "f32")
    monkeypatch.setattr(int8, "LEAST_SPEARMAN", 1.01)
    with pytest.raises(
        ModelUnavailable, match=r"in int8 \(mean cosine 0\.99.*Spearman's correlation .* 1\.01 is asked"
    ):
        load(twin, tmp_path / "refused", precision="int8")
    assert {file.name for file in tmp_path.glob("refused/text-*/*")} == {"proofs.json", "sha256.json"}
    monkeypatch.setattr(int8, "LEAST_SPEARMAN", 0.9)
    model = load(twin, tmp_path / "int8", precision="int8")
    ids = [text.ids for text in whole.tokenize(texts(128))]
    rows = [each.run(ids) / np.linalg.norm(each.run(ids), axis=1, keepdims=True) for each in (whole, model)]
    assert 0.95 < np.vecdot(*rows).mean() < 0.99999
    assert (model.info.backend, model.info.precision) == ("openvino", "int8")
    assert model.info.fingerprint != whole.info.fingerprint
    monkeypatch.setattr(openvino_models, "find_spec", lambda name: None)  # it is needed no more
    np.testing.assert_array_equal(load(twin, tmp_path / "int8", precision="int8").run(ids), model.run(ids))
