"""Families of models of texts and images, as tiny twins: each backend against transformers' own features."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.image_families import TEXTS, TWINS, cosines, expected, load, pixels_of, write
from tests.support.pictures import pictures


# The others run in tests/slow.
@pytest.mark.parametrize("name", ["CLIP by sentence-transformers", "SigLIP"])
def test_a_family_is_served_as_transformers_does(name: str, tmp_path: Path) -> None:
    twin = TWINS[name]
    place = write(twin, tmp_path / "twin")
    right = expected(twin, place)
    assert np.abs(right.texts[2] - right.texts[4]).max() > 0.05
    assert np.abs(right.images[0] - right.images[1]).max() > 0.05
    for backend in ("openvino", "torch"):
        model = load(place, tmp_path / "cache", backend)
        assert (model.info.backend, model.info.precision) == (backend, "f32")
        # The published vocabularies of these do not clean their texts; transformers' classes do.
        assert (model.info.note is None) is (name not in ("SigLIP", "SigLIP 2 NaFlex"))
        assert [list(text.ids) for text in model.text.tokenize(TEXTS)] == right.ids
        assert model.text.tokenize(TEXTS)[-1].truncated
        for mine, theirs in zip(pixels_of(model, pictures()), right.pixels, strict=True):
            np.testing.assert_array_equal(mine, theirs)
        assert cosines(model, right).min() > 0.9999
        assert model.info.dimensions == right.texts.shape[1] == right.images.shape[1]
