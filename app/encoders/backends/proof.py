"""The proof of a conversion: what it makes of many shapes is compared with what torch makes of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.encoders.backends.contract import Graph, Inputs
from app.encoders.files import read_json
from app.types import Vector

# They cross the windows of local attention, and are more and fewer tokens than the graph was traced with.
LENGTHS = (1, 8, 32, 64, 128, 192, 256, 384, 512, 1024)
# A run of three rows costs three times as much; beyond this the mixed rows are two.
THREE_ROWS = 256
LEAST_COSINE = {"f32": 0.9999}
LEAST_COSINE_IN_HALF = 0.999
NORM_TOLERANCE = 0.005


@dataclass(slots=True)
class Proof:
    """The worst of what was compared, and the lengths at which it is not good enough."""

    least: float
    cosine: float = 1.0
    norms: float = 0.0
    lengths: list[int] = field(default_factory=list)

    @property
    def wrong(self) -> bool:
        return bool(self.lengths)

    def add(self, made: Vector, expected: Vector, length: int) -> None:
        right = np.linalg.norm(expected, axis=1)
        with np.errstate(all="ignore"):
            lengths = np.linalg.norm(made, axis=1)
            cosine = float((np.vecdot(made, expected) / (lengths * right)).min())
            norms = float(np.abs(lengths / right - 1).max())
        if not (cosine >= self.least and norms <= NORM_TOLERANCE) and length not in self.lengths:
            self.lengths.append(length)
        # Not a number is the worst of all.
        self.cosine = min(self.cosine, cosine) if np.isfinite(cosine) else -1.0
        self.norms = max(self.norms, norms) if np.isfinite(norms) else 1.0

    def __str__(self) -> str:
        at = f" at {', '.join(map(str, self.lengths))} tokens" if any(self.lengths) else ""
        return f"cosine {self.cosine:.4f} instead of {self.least:g}, norms off by {self.norms:.1%}{at}"


def compare(
    precision: str, run: Callable[[Inputs], Vector], inputs: Sequence[Inputs], expected: Sequence[Vector]
) -> Proof:
    proof = Proof(LEAST_COSINE.get(precision, LEAST_COSINE_IN_HALF))
    for batch, rows in zip(inputs, expected, strict=True):
        # Pixels have no length.
        proof.add(run(batch), rows, batch[0].shape[1] if batch[0].ndim == 2 else 0)
    return proof


def cases(graph: Graph) -> Iterator[Inputs]:
    """One row of each length that the model reads, and rows of several lengths together."""
    rng = np.random.default_rng(7)
    if graph.encoder == "clip_image":
        for rows in (1, 3):
            yield (rng.standard_normal((rows, 3, *graph.image_size), np.float32),)
        return
    config = read_json(Path(graph.folder, "config.json")) or {}
    config = {**config, **(config.get("text_config") or {})}
    for length in LENGTHS:
        if length <= graph.max_tokens:
            few = (length, 1 + length // 2, 1) if length <= THREE_ROWS else (length, length // 3)
            yield _rows(rng, config, graph.encoder, (length,))
            yield _rows(rng, config, graph.encoder, few)


def _rows(rng: np.random.Generator, config: dict[str, Any], encoder: str, lengths: Sequence[int]) -> Inputs:
    size, pad = int(config.get("vocab_size", 1000)), int(config.get("pad_token_id") or 0)
    end = int(config.get("eos_token_id") or 0)
    ids: NDArray[Any] = np.full((len(lengths), lengths[0]), 0 if encoder == "clip_text" else pad, np.int32)
    mask = np.zeros_like(ids)
    for row, length in enumerate(lengths):
        some = rng.integers(0, size - 1, length)
        ids[row, :length] = np.where(some == pad, size - 1, some)
        mask[row, :length] = 1
        if encoder == "clip_text":
            # The vector is that of the end token; old files say 2 and mean the highest id.
            ids[row, length - 1] = end if end > 2 else size - 1
    return ids, mask
