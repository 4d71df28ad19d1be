"""The torch backend: on a GPU, and on a CPU without OpenVINO."""

from collections.abc import Callable, Iterable
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from app.encoders.backends.contract import Graph, Inputs, Runner, RunOptions
from app.encoders.backends.torch_loading import module
from app.encoders.backends.torch_modules import example
from app.errors import ModelUnavailable
from app.types import Vector

has_cuda = torch.cuda.is_available
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


def load(graph: Graph, options: RunOptions) -> "TorchRunner":
    """Load a graph on the GPU (half precision) or the CPU (float32 unless asked otherwise)."""
    if options.device == "cuda" and not has_cuda():
        raise ModelUnavailable("The model is set to run on a GPU (device: cuda), but torch sees none here.")
    device = "cuda" if options.device != "cpu" and has_cuda() else "cpu"
    precision = options.precision
    if precision == "auto":
        precision = "f32" if device == "cpu" else "bf16" if torch.cuda.is_bf16_supported() else "f16"
    if device == "cpu":
        torch.set_num_threads(options.threads)
    try:
        return _tried(graph, precision, device)
    except RuntimeError as exc:
        reason = f"transformers can't run this model in {precision} ({str(exc).splitlines()[0]})"
        if options.precision != "auto":
            raise ModelUnavailable(f"{reason[0].upper()}{reason[1:]}; use precision: auto or f32.") from exc
    runner = _tried(graph, "f32", device)
    runner.note = f"It runs in f32: {reason}."
    return runner


def _tried(graph: Graph, precision: str, device: str) -> "TorchRunner":
    runner = TorchRunner(module(graph, DTYPES[precision]).to(device), precision, device)
    runner(*(tensor.numpy() for tensor in example(graph).values()))
    return runner


class TorchRunner(Runner):
    name = "torch"

    def __init__(self, module_: nn.Module, precision: str, device: str) -> None:
        self.precision = precision
        self.device = device
        self._module = module_
        self._dtype = DTYPES[precision]

    def __call__(self, *inputs: NDArray[Any], exclusive: bool = False) -> Vector:
        return self._run(self._module, inputs)

    def pool_spans(self, *inputs: NDArray[Any]) -> Vector:
        return self._run(cast(Any, self._module).pool_spans, inputs)

    def _run(self, module: Callable[..., Tensor], inputs: Inputs) -> Vector:
        with torch.inference_mode():
            tensors = [torch.from_numpy(array).to(self.device) for array in inputs]
            out = module(*(one.to(self._dtype) if one.is_floating_point() else one for one in tensors))
        return np.ascontiguousarray(out.float().cpu().numpy())

    def warm(self, batches: Iterable[Inputs]) -> None:
        for inputs in batches:
            self(*inputs)
