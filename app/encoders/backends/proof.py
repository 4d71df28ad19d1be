"""The proof of a conversion: what it makes of many shapes is compared with what torch makes of them."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.encoders.backends.contract import Graph, Inputs
from app.encoders.files import read_json
from app.encoders.image_families import FAMILIES, Family
from app.types import Vector

# They cross the windows of local attention, and are more and fewer tokens than the graph was traced with.
LENGTHS = (1, 8, 32, 64, 128, 192, 256, 384, 512, 1024)
# A run of three rows costs three times as much; beyond this the mixed rows are two.
THREE_ROWS = 256
LEAST_COSINE, LEAST_COSINE_IN_HALF = 0.9999, 0.999
NORM_TOLERANCE = 0.005
CLIP = FAMILIES["clip"]
# A single number is rounded to 8 bits, where the errors of a vector's many even out.
SCORE_TOLERANCE_IN_HALF = 0.03


def compare(
    precision: str,
    run: Callable[[Inputs], Vector],
    inputs: Sequence[Inputs],
    expected: Sequence[Vector],
    *,
    scores: bool = False,
) -> dict[str, Any]:
    """The worst `cosine` and `norms` of all inputs, and what is `wrong` at which lengths, None if nothing is. `scores`:
    the rows are logits, or weights, which may all be 0."""
    tolerance = SCORE_TOLERANCE_IN_HALF if scores and precision != "f32" else NORM_TOLERANCE
    least = LEAST_COSINE if precision == "f32" else LEAST_COSINE_IN_HALF
    worst_cosine, worst_norms = 1.0, 0.0
    lengths: dict[int, None] = {}
    for batch, right in zip(inputs, expected, strict=True):
        made, right = (rows.reshape(len(rows), -1) for rows in (run(batch), right))  # of tokens, all that a text has
        if scores:
            made, right = comparable(made), comparable(right)
        right_norms = np.linalg.norm(right, axis=1)
        with np.errstate(all="ignore"):
            made_norms = np.linalg.norm(made, axis=1)
            cosine = float((np.vecdot(made, right) / (made_norms * right_norms)).min())
            norms = float(np.abs(made_norms / right_norms - 1).max())
        if not (cosine >= least and norms <= tolerance):
            lengths[batch[0].shape[1] if batch[0].ndim == 2 else 0] = None  # pixels have no length
        # Not a number is the worst of all.
        worst_cosine = min(worst_cosine, cosine) if np.isfinite(cosine) else -1.0
        worst_norms = max(worst_norms, norms) if np.isfinite(norms) else 1.0
    at = f" at {', '.join(map(str, lengths))} tokens" if any(lengths) else ""
    wrong = f"cosine {worst_cosine:.4f} instead of {least:g}, norms off by {worst_norms:.1%}{at}"
    return {"cosine": worst_cosine, "norms": worst_norms, "wrong": wrong if lengths else None}


def comparable(scores: Vector) -> Vector:
    """Logits in the form in which vectors are compared, with a 1 behind them: its angle tells how far a small one is
    off, its length how far a large one is."""
    return np.column_stack([scores, np.ones(len(scores), np.float32)]).astype(np.float32)


def cases(graph: Graph) -> Iterator[Inputs]:
    """One row of each length that the model reads, and rows of several lengths together."""
    rng = np.random.default_rng(7)
    if graph.encoder == "clip_image":
        for rows in (1, 3):
            yield (rng.standard_normal((rows, 3, *graph.image_size), np.float32),)
        return
    if graph.encoder == "image_patches":
        most, side = graph.image_size[0], math.isqrt(graph.image_size[0])
        for shapes in ([(side, side)], [(1, most), (most // 2 or 1, 1), (side, side), (1, 1)]):
            patches = rng.standard_normal((len(shapes), *graph.image_size), np.float32)
            yield patches, np.array(shapes, np.int32)
        return
    config = read_json(Path(graph.folder, "config.json")) or {}
    family = FAMILIES.get(str(config.get("model_type")), CLIP) if graph.encoder == "clip_text" else None
    config = {**config, **(config.get("text_config") or {})}
    for length in (graph.max_tokens,) if family and family.whole else LENGTHS:
        if length <= graph.max_tokens:
            few = (length, 1 + length // 2, 1) if length <= THREE_ROWS else (length, length // 3)
            yield _rows(rng, config, family, (length,), graph.encoder == "rerank")
            yield _rows(rng, config, family, few, graph.encoder == "rerank")


def _rows(
    rng: np.random.Generator, config: dict[str, Any], family: Family | None, lengths: Sequence[int], pairs: bool
) -> Inputs:
    size, pad = int(config.get("vocab_size", 1000)), int(config.get("pad_token_id") or 0)
    end = int(config.get("eos_token_id") or 0)
    if family is CLIP and end <= 2:
        end = size - 1  # old files say 2 and mean the highest id
    fill = pad if family is None or family.pad is None else family.pad
    ids: NDArray[Any] = np.full((len(lengths), lengths[0]), fill, np.int32)
    mask = np.zeros_like(ids)
    for row, length in enumerate(lengths):
        some = rng.integers(0, size - 1, length)
        ids[row, :length] = np.where(some == pad, size - 1, some)
        mask[row, :length] = 1
        if pairs:
            mask[row, length // 2 : length] = 2
        if family and family.pad is not None:
            ids[row, length - 1] = end  # whose vector it is
    return ids, mask
