"""What a backend is given and what it gives back. Importing this imports no inference library."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from app.encoders.steps import Step
from app.errors import InvalidRequest, ModelUnavailable
from app.types import Vector

EncoderType = Literal["text", "clip_text", "clip_image", "image_patches", "rerank", "sparse", "token"]
Inputs = Sequence[NDArray[Any]]
"""int32 ids and mask, both (n, length), or float32 pixels (n, 3, height, width), or float32 patches (n, patches,
numbers of each) and int32 rows and columns (n, 2). The mask is 2 at a prompt that the pooling leaves out, and at the
second text of a pair."""


@dataclass(frozen=True, slots=True)
class Graph:
    """One computation, from token ids and mask (or pixels) to vectors or logits: what to load, what to do behind it.
    `pooling` of a sparse encoder: SPLADE's strategy and activation; empty for a table of weights.
    `image_size`: the last dimensions of its pixels or patches. `calibrated`: the tokenizer of a text model whose
    conversion is quantised to int8."""

    directory: str
    folder: str
    weights: str
    encoder: EncoderType
    dimensions: int
    pooling: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    image_size: tuple[int, int] = (0, 0)
    allow_bin: bool = False
    max_tokens: int = 0
    calibrated: str = ""
    segments: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a graph is run.

    Attributes:
        streams: Runs at once, which share the threads, where the backend can; with one it is compiled for latency.
        latency_profile: Beside the throughput profile a small model gets a latency profile, for exclusive runs.
        may_choose: The backend was not named, so another one may run what this one can't.
    """

    threads: int
    precision: str
    device: str
    cache: Path
    streams: int = 1
    latency_profile: bool = False
    may_choose: bool = False


class Unconvertible(ModelUnavailable):
    """This backend can't run the graph, or not well enough; torch can."""


class Runner(Protocol):
    """A loaded graph; backends derive from it. At most `streams` threads call it at a time, one more with `exclusive`.

    Attributes:
        fixed_shapes: It builds kernels for every shape it sees, so inputs are padded to few of them.
        profiles: The values of `exclusive` that make a difference: one, or both.
        note: Why it runs on this backend or in this precision, where one would expect another.
    """

    name: str
    precision: str
    device: str
    fixed_shapes: bool = False
    streams: int = 1
    profiles: tuple[bool, ...] = (False,)
    note: str | None = None

    def __call__(self, *inputs: NDArray[Any], exclusive: bool = False) -> Vector:
        """`Inputs` -> (n, dimensions), valid until the same thread's next call. `exclusive`: nothing else runs now, so
        the latency profile is the better one."""

    def pool_spans(self, ids: NDArray[Any], mask: NDArray[Any], spans: NDArray[np.float32]) -> Vector:
        """(1, length) ids and mask, (n, length) ones at the tokens of each span -> (n, dimensions): their means, and
        what follows the pooling. Called by one thread at a time. Raises InvalidRequest where a backend can't."""
        raise InvalidRequest(f"`late` needs token vectors, which backend {self.name} does not give here.", "late")

    def warm(self, batches: Iterable[Inputs]) -> None:
        """Run each batch wherever its shape will run later, then free what only this needed. Nothing else runs."""
