"""The seam to the inference libraries: what a backend is given, what it gives back, and which one is used.

A backend is a function in a module of its own; a new one is that file and one line in `BACKENDS`.
Importing this imports no inference library.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

from numpy.typing import NDArray

from app.config.args import ModelArgs
from app.encoders.model_config import Step
from app.errors import ModelUnavailable
from app.types import Vector

Tower = Literal["text", "clip_text", "clip_image"]


@dataclass(frozen=True, slots=True)
class Graph:
    """One computation, from token ids and mask (or pixels) to vectors: what to load and what to do behind it."""

    directory: str
    folder: str
    weights: str
    tower: Tower
    dimensions: int
    pooling: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    image_size: tuple[int, int] = (0, 0)
    allow_bin: bool = False

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Graph":
        """The inverse of `to_dict`, also after a trip through JSON."""
        steps = tuple(Step(**{**step, "features": tuple(step["features"])}) for step in data["steps"])
        size = (data["image_size"][0], data["image_size"][1])
        return cls(**{**data, "steps": steps, "pooling": tuple(data["pooling"]), "image_size": size})


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a graph is run. `streams`: so many runs at once, which share the threads, where the backend can. `or_alone`:
    or one that has them all, whose weights are in memory once more."""

    threads: int
    precision: str
    device: str
    cache: Path
    streams: int = 1
    or_alone: bool = False


class Runner(Protocol):
    """A loaded graph. Called from at most `streams` threads at a time.

    `fixed_shapes`: it builds kernels for every shape it sees, so inputs are padded to few of them.
    """

    name: str
    precision: str
    device: str
    fixed_shapes: bool
    streams: int

    @property
    def alone(self) -> "Runner":
        """The same graph, soonest done where nothing runs beside it; itself where that makes no difference."""
        ...

    def __call__(self, *inputs: NDArray[Any]) -> Vector:
        """int32 ids and mask, both (n, length), or float32 pixels (n, 3, height, width) -> (n, dimensions).

        The result is valid until the same thread's next call.
        """
        ...

    def warmed(self) -> None:
        """Told when every shape has run: what only building kernels needs may go."""
        ...


Backend = Callable[[Graph, RunOptions], Runner]


def _openvino() -> Backend:
    from app.encoders.backends import openvino_runner

    return openvino_runner.load


def _torch() -> Backend:
    from app.encoders.backends import torch_runner

    return torch_runner.load


BACKENDS: dict[str, Callable[[], Backend]] = {"openvino": _openvino, "torch": _torch}


def choose(backend: str, device: str) -> str:
    """The backend that `auto` stands for: torch on a GPU, else OpenVINO where it is installed, else torch."""
    if backend != "auto":
        return backend
    if device != "cpu" and _has_cuda():
        return "torch"
    return "openvino" if find_spec("openvino") else "torch"


def load(graph: Graph, options: RunOptions, backend: str) -> Runner:
    """Load a graph with a named backend.

    Raises:
        ModelUnavailable: The backend's library is missing, or the model is not one that it can load.
    """
    try:
        return BACKENDS[backend]()(graph, options)
    except ImportError as exc:
        raise ModelUnavailable(f"The {backend} backend needs a library that is missing: {exc}.") from exc


def options_for(args: ModelArgs, threads: int, cache: Path, streams: int = 1, or_alone: bool = False) -> RunOptions:
    threads = max(1, threads)
    return RunOptions(threads, args.precision, args.device, cache, min(streams, threads), or_alone)


def _has_cuda() -> bool:
    # Asking torch costs seconds and 200 MB, so only where there is a driver to ask about (Linux, WSL).
    if not any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/dxg")):
        return False
    from app.encoders.backends import torch_runner

    return torch_runner.has_cuda()
