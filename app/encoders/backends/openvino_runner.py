"""The OpenVINO backend: converted models, compiled for this CPU. A start that finds its converted model imports no
torch.
"""

import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openvino as ov
from numpy.typing import NDArray

from app.encoders.backends import openvino_models
from app.encoders.backends.contract import Graph, Inputs, RunOptions
from app.errors import ModelUnavailable
from app.system import memory
from app.types import Vector

# With two profiles a model has its weights in memory twice. A larger one gets the latency profile only: its runs take
# so long that streams, which save the threads' waiting for each other, would save little of them. Bytes of float32.
MOST_IN_TWO_PROFILES = 256 * 2**20


def load(graph: Graph, options: RunOptions) -> "OpenVinoRunner":
    """Read the converted graph, making it first if it is missing or damaged, and compile it."""
    if options.device == "cuda":
        raise ModelUnavailable("The openvino backend runs on CPUs; use backend: torch with device: cuda.")
    core = ov.Core()
    able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    precision = options.precision
    if precision == "auto":
        precision = "bf16" if "BF16" in able else "f32"
    elif precision != "f32" and {"bf16": "BF16", "f16": "FP16"}[precision] not in able:
        raise ModelUnavailable(f"This CPU has no {precision} arithmetic; use precision: auto or f32.")
    with openvino_models.converted(graph, options.cache) as folder:
        weights = folder / openvino_models.WEIGHTS
        profiles = [options.streams]
        if options.latency_profile and options.streams > 1:
            profiles = [options.streams, 1] if weights.stat().st_size <= MOST_IN_TWO_PROFILES else [1]
        model = core.read_model(folder / openvino_models.MODEL)
        compiled = [
            core.compile_model(
                model,
                "CPU",
                {
                    "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT",
                    "NUM_STREAMS": streams,
                    "INFERENCE_NUM_THREADS": options.threads,
                    "INFERENCE_PRECISION_HINT": precision,
                    # Replicas on one node would all be pinned to its first cores.
                    "ENABLE_CPU_PINNING": False,
                },
            )
            for streams in profiles
        ]
        return OpenVinoRunner(compiled, precision, weights, profiles[0])


class OpenVinoRunner:
    """A model as a `Runner`: compiled once, or for throughput and for latency."""

    name = "openvino"
    device = "cpu"
    fixed_shapes = True

    def __init__(self, compiled: Sequence[Any], precision: str, weights: Path, streams: int) -> None:
        self.precision = precision
        self.streams = streams
        self.profiles: tuple[bool, ...] = (False, True)[: len(compiled)]
        self._weights = weights
        # A request holds one run's tensors: each thread has its own, of each profile.
        self._compiled = [(model, threading.local()) for model in compiled]

    def __call__(self, *inputs: NDArray[Any], exclusive: bool = False) -> Vector:
        compiled, of_thread = self._compiled[-1 if exclusive else 0]
        request = getattr(of_thread, "request", None)
        if request is None:
            request = of_thread.request = compiled.create_infer_request()
        # A third of what the same costs through `infer`'s own arguments, which look at each by its type.
        for index, array in enumerate(inputs):
            request.set_input_tensor(index, ov.Tensor(array, shared_memory=True))
        request.infer()
        vectors: Vector = request.get_output_tensor(0).data
        return vectors

    def warm(self, batches: Iterable[Inputs]) -> None:
        """Every stream has kernels of its own. The latency profile gets those of one item, all that it is asked for
        while requests come.
        """
        together = threading.Barrier(self.streams)

        def run(inputs: Inputs) -> None:
            together.wait()
            self(*inputs)

        with ThreadPoolExecutor(self.streams) as threads:
            for inputs in batches:
                for one in [threads.submit(run, inputs) for _ in range(self.streams)]:
                    one.result()
                if len(self.profiles) > 1 and len(inputs[0]) == 1:
                    self(*inputs, exclusive=True)
        # The weights were copied into the kernels' own layout; their file is mapped for as long as the model lives.
        memory.release(self._weights)
        memory.trim()
