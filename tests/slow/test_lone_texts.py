"""A text alone, in the graph that has branches for it, is what it is elsewhere: in every family that OpenVINO runs."""

from pathlib import Path

import numpy as np
import pytest

from app.config.args import ModelArgs
from app.encoders import pretrained
from app.encoders.backends import export, openvino_models, tokenizer_export
from app.encoders.text import load_text_model
from tests.support.families import FAMILIES, write

MOST = 128
LENGTHS = (1, 2, 7, 8, 9, 16, 23, 24, 31, 32, 33, 40, 64)


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.openvino])
def test_a_family_makes_the_same_vector_of_a_text_alone(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_models, "convert", export.write)
    monkeypatch.setattr(pretrained, "make", tokenizer_export.write)
    folder = write(FAMILIES[name], tmp_path / "twin", MOST)
    args = ModelArgs(id=str(folder), device="cpu", precision="f32", cache_dir=str(tmp_path / "cache"))
    model = load_text_model(args, threads=2, offline=True, streams=2, latency_profile=True)
    assert (model.info.backend, model.profiles) == ("openvino", (False, True))
    ids = [5 + 7 * place % 40 for place in range(max(LENGTHS))]
    for length in LENGTHS:
        elsewhere, alone = (model.run([ids[:length]], exclusive=exclusive)[0] for exclusive in (False, True))
        np.testing.assert_allclose(alone, elsewhere, rtol=0, atol=1e-5 * np.abs(elsewhere).max())
