"""The OpenVINO backend: converted models on disk, compiled for this CPU.

The only module that imports openvino. A start that finds its converted model imports no torch.
"""

import contextlib
import hashlib
import json
import logging
import shutil
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from app.encoders.backends import conversion
from app.encoders.backends.contract import Graph, RunOptions
from app.errors import ModelUnavailable
from app.system import heap, mapped_file
from app.types import Vector

# Importing openvino would otherwise report usage to its makers, through forks of this process that can outlive
# it. Without the package openvino uses a stub of its own.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino as ov  # noqa: E402

log = logging.getLogger(__name__)

# Part of the name of converted files: raise it when `write` or the torch modules behind it change.
CONVERTER_VERSION = 1
# In two forms, a model has its weights in memory twice. Of a larger one a run takes so long that what streams save, the
# waiting of threads for each other, is little of it. Bytes of float32.
MOST_IN_TWO_FORMS = 256 * 2**20
MODEL, WEIGHTS, SUMS = "model.xml", "model.bin", "sha256.json"


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
    with _converted(graph, options.cache) as folder:
        model = core.read_model(folder / MODEL)

        def compiled(streams: int) -> OpenVinoRunner:
            config = {
                "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT",
                "NUM_STREAMS": streams,
                "INFERENCE_NUM_THREADS": options.threads,
                "INFERENCE_PRECISION_HINT": precision,
                # Replicas on one node would all be pinned to its first cores.
                "ENABLE_CPU_PINNING": False,
            }
            return OpenVinoRunner(core.compile_model(model, "CPU", config), precision, folder / WEIGHTS, streams)

        if not options.or_alone or options.streams == 1:
            return compiled(options.streams)
        if (folder / WEIGHTS).stat().st_size > MOST_IN_TWO_FORMS:
            return compiled(1)
        runner = compiled(options.streams)
        runner.alone = compiled(1)
        return runner


class OpenVinoRunner:
    """A compiled model as a `Runner`."""

    name = "openvino"
    device = "cpu"
    fixed_shapes = True

    def __init__(self, compiled: Any, precision: str, weights: Path, streams: int = 1) -> None:
        self.precision = precision
        self.streams = streams
        self.alone = self
        self._weights = weights
        self._compiled = compiled
        # A request holds one run's tensors: each thread has its own.
        self._of_thread = threading.local()

    def __call__(self, *inputs: NDArray[Any]) -> Vector:
        request = getattr(self._of_thread, "request", None)
        if request is None:
            request = self._of_thread.request = self._compiled.create_infer_request()
        # A third of what the same costs through `infer`'s own arguments, which look at each by its type.
        for index, array in enumerate(inputs):
            request.set_input_tensor(index, ov.Tensor(array, shared_memory=True))
        request.infer()
        vectors: Vector = request.get_output_tensor(0).data
        return vectors

    def warmed(self) -> None:
        """The weights were copied into the kernels' own layout; their file is mapped for as long as the model lives."""
        mapped_file.release(self._weights)
        heap.trim()


@contextlib.contextmanager
def _converted(graph: Graph, cache: Path) -> Iterator[Path]:
    """A folder with the converted graph, made where need be; it may be gone afterwards."""
    folder = cache / key(graph)
    if not intact(folder):
        try:
            make(graph, folder)
        except OSError as exc:
            log.warning("Converted models can't be kept in %s (%s); every start converts anew", cache, exc)
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch, folder.name)
                make(graph, folder)
                yield folder
            return
    yield folder


def key(graph: Graph) -> str:
    """The folder name of a graph's conversion: all that it depends on, hashed; no precision, no path."""
    parts = graph.to_dict()
    del parts["directory"], parts["folder"], parts["allow_bin"]
    parts["config"] = hashlib.sha256(Path(graph.folder, "config.json").read_bytes()).hexdigest()
    parts["versions"] = [ov.__version__, CONVERTER_VERSION]
    return f"{graph.tower}-{hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]}"


def intact(folder: Path) -> bool:
    """Whether the folder holds a conversion whose files are as they were written."""
    try:
        sums = json.loads((folder / SUMS).read_text())
        return bool(sums) and all(_sha256(folder / name) == sum_ for name, sum_ in sums.items())
    except FileNotFoundError:
        if folder.exists():
            log.warning("The converted model %s is incomplete; it is made again", folder.name)
    except (OSError, ValueError, AttributeError):
        pass
    return False


def make(graph: Graph, folder: Path) -> None:
    """Convert a graph into `folder`, which appears complete or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f".{folder.name}-*"):
        # Of a process that was killed at it.
        if time.time() - left.stat().st_mtime > 2 * conversion.TIMEOUT_S:
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        new = Path(scratch, "new")
        new.mkdir()
        conversion.convert(graph, new / MODEL)
        (new / SUMS).write_text(json.dumps({file.name: _sha256(file) for file in sorted(new.iterdir())}))
        try:
            new.rename(folder)
        except OSError:
            # Another replica was faster, or the files there are damaged.
            if not intact(folder):
                shutil.rmtree(folder)
                new.rename(folder)


def write(graph: Graph, target: Path) -> None:
    """Convert the torch module of a graph in memory and save it in float32; imports torch."""
    from app.encoders.backends import torch_runner

    example = torch_runner.example(graph)
    shapes = {name: [-1, -1] if tensor.ndim == 2 else [-1, *tensor.shape[1:]] for name, tensor in example.items()}
    module = torch_runner.module(graph)
    with warnings.catch_warnings():
        # Tracing warns of Python branches on shapes; the tests compare other shapes than the traced one.
        warnings.simplefilter("ignore")
        model = ov.convert_model(module, example_input=example, input=list(shapes.items()))
    for port, name in zip(model.inputs, example, strict=True):
        port.get_tensor().set_names({name})
    ov.save_model(model, target, compress_to_fp16=False)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
