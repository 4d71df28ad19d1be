"""Which backends there are, and which of them runs a model."""

import logging
import math
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from app.config.args import ModelArgs
from app.encoders.backends.contract import Graph, Runner, RunOptions, Unconvertible
from app.encoders.files import read_json, tensors
from app.errors import ModelUnavailable

logger = logging.getLogger(__name__)

# Decoders of this many parameters and more, "0.6B" by name, run faster in torch's bf16 on a CPU, in half the memory.
LARGE_DECODER = 550_000_000


def load(graph: Graph, options: RunOptions, backend: str) -> Runner:
    """Load a graph with a named backend, or with torch where the backend was not named and can't run it well. Raises
    ModelUnavailable if the backend's library is missing, or the model is not one that it can load."""
    if options.precision == "int8" and (backend != "openvino" or not graph.calibrated):
        raise ModelUnavailable(
            "precision: int8 is for text models with a transformer, on OpenVINO and a CPU; use auto."
        )
    if backend == "torch" or not options.may_choose or options.precision == "int8":
        return _load(graph, options, backend)
    if size := large_decoder(graph):
        reason = f"decoders of this size ({size / 1e9:.1f}B parameters) are faster there on a CPU"
        able = import_module("app.encoders.backends.openvino_models").precisions()
        if options.precision == "auto" and "bf16" in able:
            options = replace(options, precision="bf16")
    else:
        try:
            return _load(graph, options, backend)
        except Unconvertible as exc:
            reason = exc.message
            logger.warning("%s: torch runs the model: %s", graph.directory, reason)
    runner = _load(graph, options, "torch")
    runner.note = f"It runs on torch: {reason}"
    return runner


def large_decoder(graph: Graph) -> int:
    """The number of its parameters; 0 if it is none, or smaller."""
    config = read_json(Path(graph.folder, "config.json")) or {}
    if graph.encoder != "text" or "num_key_value_heads" not in config:
        return 0
    files = Path(graph.folder).glob("model*.safetensors")
    parameters = sum(math.prod(tensor.shape) for file in files for tensor in tensors(file).values())
    return parameters if parameters >= LARGE_DECODER else 0


def _load(graph: Graph, options: RunOptions, backend: str) -> Runner:
    """The backend's module (`NAME_runner`) is imported now."""
    try:
        return cast(Runner, import_module(f"app.encoders.backends.{backend}_runner").load(graph, options))
    except ImportError as exc:
        raise ModelUnavailable(f"The {backend} backend needs a library that is missing: {exc}.") from exc


def choose(backend: str, device: str) -> str:
    """The backend that `auto` stands for: torch on a GPU, else OpenVINO where it is installed, else torch."""
    if backend != "auto":
        return backend
    # Asking torch costs seconds and 200 MB, so only where there is a driver to ask about (Linux, WSL).
    if device != "cpu" and any(Path(driver).exists() for driver in ("/dev/nvidiactl", "/dev/dxg")):
        from app.encoders.backends import torch_runner

        if torch_runner.has_cuda():
            return "torch"
    return "openvino" if find_spec("openvino") else "torch"


def options_for(
    args: ModelArgs, threads: int, cache: Path, streams: int = 1, latency_profile: bool = False
) -> RunOptions:
    threads, may_choose = max(1, threads), args.backend == "auto"
    return RunOptions(threads, args.precision, args.device, cache, min(streams, threads), latency_profile, may_choose)
