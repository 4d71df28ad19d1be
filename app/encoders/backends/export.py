"""Converts a torch module to OpenVINO, and proves it. `openvino_models` starts it by name, in a process of its own."""

import json
import os
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from pydantic import TypeAdapter

from app.encoders.backends import int8, openvino_models, proof, torch_loading, torch_modules
from app.encoders.backends.contract import Graph, Inputs
from app.encoders.backends.torch_runner import TorchRunner
from app.encoders.backends.torch_tracing import traceable
from app.encoders.tokenizer import Tokenizer
from app.system import child
from app.types import Vector


def main(graph: str, target: str) -> None:
    """The child's work; it ends the process."""
    child.finish(lambda: write(TypeAdapter(Graph).validate_json(graph), Path(target)))


def write(graph: Graph, target: Path) -> None:
    """Convert the torch module of a graph and save it in float32, or in int8 where it says so, with its proofs beside
    it. If it can't be converted, or makes other vectors than torch, `target` is not there, and the proofs say why."""
    module = torch_loading.module(graph)
    inputs = list(proof.cases(graph))
    expected = [TorchRunner(module, "f32", "cpu")(*batch) for batch in inputs]
    proofs: dict[str, Any] = {}
    try:
        _convert(module, graph, target)
        del module
        scores = graph.encoder in ("rerank", "sparse")
        for precision in ["f32"] if graph.calibrated else openvino_models.precisions():
            proofs[precision] = proof.compare(precision, _run(target, precision), inputs, expected, scores=scores)
        reason = proofs["f32"]["wrong"]
    except Exception as exc:  # noqa: BLE001  whatever a compiler says of somebody else's model
        reason = f"{type(exc).__name__}: {(str(exc).strip().splitlines() or [''])[-1]}"
    if reason:
        proofs["refused"] = reason
    elif graph.calibrated:
        proofs = {"int8": _quantize(graph, target)}
        reason = proofs["int8"]["wrong"]
    if reason:
        for file in target.parent.iterdir():
            file.unlink()
    (target.parent / openvino_models.PROOFS).write_text(json.dumps(proofs))


def _run(target: Path, precision: str) -> Callable[[Inputs], Vector]:
    core = ov.Core()
    compiled = openvino_models.compiled(core, core.read_model(target), precision, os.cpu_count() or 1, 1)
    return partial(openvino_models.infer, compiled.create_infer_request())


def _quantize(graph: Graph, target: Path) -> dict[str, Any]:
    tokenizer = Tokenizer(Path(graph.calibrated), graph.max_tokens)
    texts = int8.read("held_out", tokenizer)

    def vectors(precision: str) -> Vector:
        run = _run(target, precision)
        return np.concatenate([run(one).copy() for one in texts])

    right = vectors("f32")
    core = ov.Core()
    core.set_property({"ENABLE_MMAP": False})  # the file is written anew
    ov.save_model(int8.quantize(core.read_model(target), tokenizer), target, compress_to_fp16=False)
    return int8.compare(vectors("int8"), right)


def _convert(module: Any, graph: Graph, target: Path) -> None:
    example = torch_modules.example(graph)
    shapes = {name: [-1, -1] if tensor.ndim == 2 else [-1, *tensor.shape[1:]] for name, tensor in example.items()}
    with warnings.catch_warnings(), traceable(module, graph.max_tokens):
        # Tracing warns of Python branches on shapes; the proof compares other shapes than the traced one.
        warnings.simplefilter("ignore")
        model = ov.convert_model(module, example_input=example, input=list(shapes.items()))
    for port, name in zip(model.inputs, example, strict=True):
        port.get_tensor().set_names({name})
    ov.save_model(model, target, compress_to_fp16=False)
