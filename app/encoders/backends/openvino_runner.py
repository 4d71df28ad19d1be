"""The OpenVINO backend: converted models, compiled for this CPU. Where they are found, no torch is imported."""

import logging
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import openvino as ov
from numpy.typing import NDArray

from app.encoders.backends import openvino_lone, openvino_models, openvino_spans
from app.encoders.backends.contract import Graph, Inputs, Runner, RunOptions, Unconvertible
from app.errors import ModelUnavailable
from app.system import memory
from app.types import Vector

logger = logging.getLogger(__name__)

# With two profiles a model has its weights in memory twice. A larger one gets the latency profile only: its runs take
# so long that streams, which save the threads' waiting for each other, would save little of them. Bytes of float32.
MOST_IN_TWO_PROFILES = 256 * 2**20


def load(graph: Graph, options: RunOptions) -> "OpenVinoRunner":
    """Read the converted graph, making it first if it is missing or damaged, and compile it."""
    if options.device == "cuda":
        raise ModelUnavailable("The openvino backend runs on CPUs; use backend: torch with device: cuda.")
    core = ov.Core()
    able = openvino_models.precisions()
    if graph.calibrated:
        able.append("int8")
    elif graph.encoder == "text" and options.precision == "auto" and able == ["f32"]:
        logger.info("it runs in f32, as this CPU has no bf16; precision: int8 is faster, and less exact")
    wanted = options.precision if options.precision != "auto" else "bf16" if "bf16" in able else "f32"
    if wanted not in able:
        raise ModelUnavailable(f"This CPU has no {wanted} arithmetic; use precision: auto or f32.")
    with openvino_models.converted(graph, options.cache, wanted) as folder:
        precision, note = wanted, None
        if wrong := openvino_models.proofs(folder)[wanted]["wrong"]:
            if options.precision != "auto":
                raise Unconvertible(f"This model is not right in {wanted} ({wrong}); use precision: auto or f32.")
            precision, note = "f32", f"It runs in f32: in {wanted} it is not the same model ({wrong})."
            logger.warning("%s: %s", graph.directory, note)
        weights = folder / openvino_models.WEIGHTS
        profiles = [options.streams]
        if options.latency_profile and options.streams > 1:
            profiles = [options.streams, 1] if weights.stat().st_size <= MOST_IN_TWO_PROFILES else [1]
        model = core.read_model(folder / openvino_models.MODEL)
        compiled = [openvino_models.compiled(core, model, precision, options.threads, profiles[0])]
        if len(profiles) > 1:
            model = openvino_lone.with_fixed_lengths(model)
            compiled.append(openvino_models.compiled(core, model, precision, options.threads, 1))
        return OpenVinoRunner(compiled, precision, weights, profiles[0], note, options.threads)


class OpenVinoRunner(Runner):
    """Compiled once, or for throughput and for latency."""

    name = "openvino"
    device = "cpu"
    fixed_shapes = True

    def __init__(
        self,
        compiled: Sequence[Any],
        precision: str,
        weights: Path,
        streams: int,
        note: str | None = None,
        threads: int = 1,
    ) -> None:
        self.precision = precision
        self.note = note
        self.streams = streams
        self.profiles = (False, True)[: len(compiled)]
        self._weights = weights
        self._threads = threads
        # A request holds one run's tensors: each thread has its own, of each profile.
        self._compiled = [(model, threading.local()) for model in compiled]

    def __call__(self, *inputs: NDArray[Any], exclusive: bool = False) -> Vector:
        compiled, of_thread = self._compiled[-1 if exclusive else 0]
        request = getattr(of_thread, "request", None)
        if request is None:
            request = of_thread.request = compiled.create_infer_request()
        return openvino_models.infer(request, inputs)

    def pool_spans(self, *inputs: NDArray[Any]) -> Vector:
        if (pooler := self._pooler) is None:
            return super().pool_spans(*inputs)
        return openvino_models.infer(pooler, inputs)

    # Compiled when first asked for: it has the weights in memory once more.
    @cached_property
    def _pooler(self) -> Any:
        core, file = ov.Core(), self._weights.with_name(openvino_models.MODEL)
        if not file.exists() or not openvino_spans.pool_spans(model := core.read_model(file)):
            return None
        compiled = openvino_models.compiled(core, model, self.precision, self._threads, 1)
        return compiled.create_infer_request()

    def warm(self, batches: Iterable[Inputs]) -> None:
        """Every stream has kernels of its own. The latency profile gets those of one item: it is given no more."""
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
