"""The static backend: a table of token vectors, whose mean is a text's, or of token weights. No torch."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from app.encoders.backends.contract import Graph, Inputs, Runner, RunOptions
from app.encoders.files import Tensor, read_json, reading, tensors
from app.encoders.steps import SKIP_UNKNOWN, Step
from app.errors import ModelUnavailable
from app.types import Vector
from app.vectors.activation import ACTIVATIONS

# bf16 is the upper half of a f32, and numpy has none.
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I8": "i1", "U8": "u1"}
Transform = Callable[[Vector], Vector]


def load(graph: Graph, options: RunOptions) -> Runner:
    file = Path(graph.folder, "model.safetensors")
    found = _arrays(file)
    with reading(file):
        if graph.encoder == "sparse":
            return WeightRunner(found["weight"])
        table = found["embedding.weight"] if "embedding.weight" in found else found["embeddings"]
        rows, weights = found.get("mapping"), found.get("weights")
        if table.ndim != 2 or (rows is not None and not 0 <= rows.min() <= rows.max() < len(table)):
            raise ValueError("its tables are of shapes that don't belong together")
        if rows is not None and weights is not None and len(rows) != len(weights):
            raise ValueError("it has not as many weights as tokens")
    unknown = _unknown(Path(graph.folder, "tokenizer.json")) if SKIP_UNKNOWN in graph.steps else None
    steps = [_step(graph, step) for step in graph.steps if step != SKIP_UNKNOWN]
    return StaticRunner(table, rows, weights, steps, unknown)


def _unknown(file: Path) -> int | None:
    """The token of what a tokenizer does not know, if it has one."""
    content = read_json(file)
    with reading(file):
        model = content["model"]
        if "unk_token" not in model:  # a Unigram's counts, in most implementations
            return None
        ids = {one["content"]: one["id"] for one in content.get("added_tokens") or ()} | model["vocab"]
        return cast(int | None, ids.get(model.get("unk_token")))


class StaticRunner(Runner):
    """Token `i` has row `rows[i]`, or `i`, times `weights[i]`; `unknown` has none."""

    name = "static"
    precision = "f32"
    device = "cpu"

    def __init__(
        self,
        table: NDArray[Any],
        rows: NDArray[Any] | None,
        weights: NDArray[Any] | None,
        steps: list[Transform],
        unknown: int | None,
    ) -> None:
        self._table, self._rows, self._weights, self._steps, self._unknown = table, rows, weights, steps, unknown

    def __call__(self, *inputs: NDArray[Any], exclusive: bool = False) -> Vector:
        ids, mask = inputs
        out = np.zeros((len(ids), self._table.shape[1]), np.float32)
        for row, (tokens, count) in enumerate(zip(ids, np.count_nonzero(mask, axis=1), strict=True)):
            known = tokens[:count] if self._unknown is None else tokens[:count][tokens[:count] != self._unknown]
            if len(known):
                out[row] = self._vectors(known).mean(axis=0, dtype=np.float32)
        for step in self._steps:
            out = step(out)
        return out

    def warm(self, batches: Iterable[Inputs]) -> None:
        """There is nothing to compile."""

    def _vectors(self, ids: NDArray[Any]) -> NDArray[Any]:
        vectors: NDArray[Any] = self._table[ids if self._rows is None else self._rows[ids]]
        return vectors if self._weights is None else vectors * self._weights[ids, None]


class WeightRunner(StaticRunner):
    """Each token of a text has its weight, however often it is there."""

    def __init__(self, weights: NDArray[Any]) -> None:
        self._of = weights

    def __call__(self, *inputs: NDArray[Any], exclusive: bool = False) -> Vector:
        ids, mask = inputs
        out = np.zeros((len(ids), len(self._of)), np.float32)
        for row, tokens, count in zip(out, ids, np.count_nonzero(mask, axis=1), strict=True):
            row[tokens[:count]] = self._of[tokens[:count]]
        return out


def _step(graph: Graph, step: Step) -> Transform:
    if step.kind == "Normalize":
        # As torch's: a vector of zeros stays one.
        return lambda rows: rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-12))
    if step.kind == "Truncate":
        return lambda rows: np.ascontiguousarray(rows[:, : step.features[1]])
    file = Path(graph.directory, step.folder, "model.safetensors")
    found = _arrays(file)
    with reading(file):
        if step.kind == "LayerNorm":
            weight, bias = found["norm.weight"], found["norm.bias"]
            return lambda rows: _standardized(rows) * weight + bias
        activation = ACTIVATIONS.get(step.activation.rsplit(".", 1)[-1])
        if step.kind != "Dense" or activation is None:
            raise ModelUnavailable(f"The model has a {step.kind} module with {step.activation} behind a static table.")
        linear, offset = found["linear.weight"].T, found.get("linear.bias", np.float32(0))
        return lambda rows: activation(rows @ linear + offset)


def _standardized(rows: Vector) -> Any:
    centred = rows - rows.mean(axis=1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + np.float32(1e-5))


def _arrays(file: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a safetensors file; large ones of floats are mapped, not read."""
    contents = tensors(file)
    with reading(file):
        data = np.memmap(file, np.uint8, mode="r")
        return {name: _array(data, tensor) for name, tensor in contents.items()}


def _array(data: NDArray[np.uint8], tensor: Tensor) -> NDArray[Any]:
    array = data[tensor.start : tensor.stop].view(DTYPES[tensor.dtype]).reshape(tensor.shape)
    if tensor.dtype == "BF16":
        return (array.astype("<u4") << 16).view("<f4")
    return array.astype(np.float32) if tensor.dtype in ("F64", "F16") else array
