"""Which backends there are, and which of them runs a model."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from app.config.args import ModelArgs
from app.encoders.backends.contract import Graph, Runner, RunOptions
from app.errors import ModelUnavailable


def load(graph: Graph, options: RunOptions, backend: str) -> Runner:
    """Load a graph with a named backend, whose module (`NAME_runner`) is imported now.

    Raises:
        ModelUnavailable: The backend's library is missing, or the model is not one that it can load.
    """
    try:
        runner: Runner = import_module(f"app.encoders.backends.{backend}_runner").load(graph, options)
    except ImportError as exc:
        raise ModelUnavailable(f"The {backend} backend needs a library that is missing: {exc}.") from exc
    return runner


def choose(backend: str, device: str) -> str:
    """The backend that `auto` stands for: torch on a GPU, else OpenVINO where it is installed, else torch."""
    if backend != "auto":
        return backend
    if device != "cpu" and _has_cuda():
        return "torch"
    return "openvino" if find_spec("openvino") else "torch"


def options_for(
    args: ModelArgs, threads: int, cache: Path, streams: int = 1, latency_profile: bool = False
) -> RunOptions:
    threads = max(1, threads)
    return RunOptions(threads, args.precision, args.device, cache, min(streams, threads), latency_profile)


def _has_cuda() -> bool:
    # Asking torch costs seconds and 200 MB, so only where there is a driver to ask about (Linux, WSL).
    if not any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/dxg")):
        return False
    from app.encoders.backends import torch_runner

    return torch_runner.has_cuda()
