"""Converted models on disk: their names, how they are made (in a child process, which gives back the 400 MB that torch
and what it leaves behind take), how they are run."""

import contextlib
import hashlib
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import openvino as ov
from numpy.typing import NDArray

from app.config.settings import baked_models
from app.encoders.backends.contract import Graph, Unconvertible
from app.encoders.files import sha256
from app.errors import ModelUnavailable
from app.system import child
from app.types import Vector

logger = logging.getLogger(__name__)

# Part of the name of converted files: raise it when `export` or the torch modules behind it change.
CONVERTER_VERSION = 2
INT8_VERSION = 1  # beside it, of those in int8: of its texts, too
MODEL, WEIGHTS, PROOFS, SUMS = "model.xml", "model.bin", "proofs.json", "sha256.json"
TIMEOUT_S = 1800
PRECISIONS = {"f32": "FP32", "bf16": "BF16", "f16": "FP16"}
NO_NNCF = "precision: int8 needs nncf to convert a model: pip install '.[int8]'."


@contextlib.contextmanager
def converted(graph: Graph, cache: Path, precision: str) -> Iterator[Path]:
    """A folder with the converted graph, made where need be; it may be gone afterwards. Raises Unconvertible if it
    can't be converted, or the conversion is not the same as the original."""
    folder = cache / key(graph)
    if (baked := baked_models()) and proved(baked / folder.name, precision):
        folder = baked / folder.name
    with contextlib.ExitStack() as scratch:
        if not proved(folder, precision):
            if graph.calibrated and find_spec("nncf") is None:
                raise ModelUnavailable(NO_NNCF)
            try:
                make(graph, folder)
            except OSError as exc:
                logger.warning("Converted models can't be kept in %s (%s); every start converts anew", cache, exc)
                folder = Path(scratch.enter_context(tempfile.TemporaryDirectory()), folder.name)
                make(graph, folder)
        if reason := proofs(folder).get("refused"):
            raise Unconvertible(f"OpenVINO does not make this model's vectors ({reason}).")
        yield folder


def proved(folder: Path, precision: str) -> bool:
    """Whether it holds a conversion for this precision; another CPU may have proved it for others."""
    return intact(folder) and bool(proofs(folder).keys() & {precision, "refused"})


def proofs(folder: Path) -> Any:
    """By precision: `cosine`, `norms`, and what is `wrong`, if anything. Or why there is no conversion: `refused`."""
    return json.loads((folder / PROOFS).read_text())


def precisions() -> list[str]:
    """What this CPU computes in."""
    able = ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return [name for name, capability in PRECISIONS.items() if capability in able]


def compiled(core: Any, model: Any, precision: str, threads: int, streams: int) -> Any:
    settings = {
        "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT",
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": threads,
        # What a graph in int8 keeps in float is the same on every CPU.
        "INFERENCE_PRECISION_HINT": "f32" if precision == "int8" else precision,
        # Replicas on one node would all be pinned to its first cores.
        "ENABLE_CPU_PINNING": False,
    }
    return core.compile_model(model, "CPU", settings)


def infer(request: Any, inputs: Sequence[NDArray[Any]]) -> Vector:
    # A third of what the same costs through `infer`'s own arguments, which look at each by its type.
    for index, array in enumerate(inputs):
        request.set_input_tensor(index, ov.Tensor(array, shared_memory=True))
    request.infer()
    return cast(Vector, request.get_output_tensor(0).data)


def key(graph: Graph) -> str:
    """The folder name of a graph's conversion: all that it depends on, hashed; no precision but int8, no path."""
    parts = asdict(graph)
    del parts["directory"], parts["folder"], parts["allow_bin"], parts["calibrated"]
    if not graph.segments:
        del parts["segments"]
    if graph.calibrated:
        parts["calibrated"] = [sha256(Path(graph.calibrated)), INT8_VERSION]
    parts["tower"] = parts.pop("encoder")  # its name when the first of these folders were made
    parts["config"] = hashlib.sha256(Path(graph.folder, "config.json").read_bytes()).hexdigest()
    parts["versions"] = [ov.__version__, CONVERTER_VERSION]
    return f"{graph.encoder}-{hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]}"


def intact(folder: Path) -> bool:
    """Whether the folder holds a conversion whose files are as they were written."""
    try:
        sums = json.loads((folder / SUMS).read_text())
        return PROOFS in sums and all(sha256(folder / name) == sum_ for name, sum_ in sums.items())
    except FileNotFoundError:
        if folder.exists():
            logger.warning("The converted model %s is incomplete; it is made again", folder.name)
    except (OSError, ValueError, TypeError, AttributeError):
        pass
    return False


def make(graph: Graph, folder: Path) -> None:
    """Convert a graph into `folder`, which appears complete or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f".{folder.name}-*"):
        # Of a process that was killed at it.
        if time.time() - left.stat().st_mtime > 2 * TIMEOUT_S:
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        new = Path(scratch, "new")
        new.mkdir()
        convert(graph, new / MODEL)
        (new / SUMS).write_text(json.dumps({file.name: sha256(file) for file in sorted(new.iterdir())}))
        try:
            new.rename(folder)
        except OSError:
            # Another replica was faster; or those are damaged, or proved by a CPU that has fewer precisions.
            if not intact(folder) or proofs(new).keys() - proofs(folder).keys() - {"refused"}:
                shutil.rmtree(folder)
                new.rename(folder)


def convert(graph: Graph, target: Path) -> None:
    """Write the converted graph to `target` (an .xml, with its .bin beside it), in a child process. Raises
    ModelUnavailable if the model's files can't be loaded or converted."""
    logger.info("converting it for OpenVINO, once")
    try:
        arguments = json.dumps(asdict(graph)), str(target)
        code, line = child.run("app.encoders.backends.export", *arguments, timeout_s=TIMEOUT_S)
    except TimeoutError as exc:
        raise Unconvertible(f"The model was not converted: {exc}.") from exc
    if code < 0:
        raise Unconvertible(f"Converting the model for OpenVINO ended with signal {-code}.")
    if code != 0:
        raise ModelUnavailable(line)
