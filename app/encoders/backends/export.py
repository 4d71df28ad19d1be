"""Converts a torch module to OpenVINO, and proves it. `openvino_models` starts it by name, in a process of its own."""

import json
import os
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import openvino as ov
from pydantic import TypeAdapter

from app.encoders.backends import openvino_models, proof, torch_runner
from app.encoders.backends.contract import Graph
from app.encoders.backends.torch_tracing import traceable
from app.system import child


def main(graph: str, target: str) -> None:
    """The child's work; it ends the process."""
    child.finish(lambda: write(TypeAdapter(Graph).validate_json(graph), Path(target)))


def write(graph: Graph, target: Path) -> None:
    """Convert the torch module of a graph and save it in float32, with its proofs beside it. If it can't be converted,
    or makes other vectors than torch, `target` is not there, and the proofs say why."""
    module = torch_runner.module(graph)
    inputs = list(proof.cases(graph))
    expected = [torch_runner.TorchRunner(module, "f32", "cpu")(*batch) for batch in inputs]
    proofs: dict[str, Any] = {}
    try:
        _convert(module, graph, target)
        del module
        core = ov.Core()
        for precision in openvino_models.precisions():
            compiled = openvino_models.compiled(core, core.read_model(target), precision, os.cpu_count() or 1, 1)
            run = partial(openvino_models.infer, compiled.create_infer_request())
            proofs[precision] = proof.compare(precision, run, inputs, expected, scores=graph.encoder == "rerank")
        reason = proofs["f32"]["wrong"]
    except Exception as exc:  # noqa: BLE001  whatever a compiler says of somebody else's model
        reason = f"{type(exc).__name__}: {(str(exc).strip().splitlines() or [''])[-1]}"
    if reason:
        proofs["refused"] = reason
        for file in target.parent.iterdir():
            file.unlink()
    (target.parent / openvino_models.PROOFS).write_text(json.dumps(proofs))


def _convert(module: Any, graph: Graph, target: Path) -> None:
    example = torch_runner.example(graph)
    shapes = {name: [-1, -1] if tensor.ndim == 2 else [-1, *tensor.shape[1:]] for name, tensor in example.items()}
    with warnings.catch_warnings(), traceable(module, graph.max_tokens):
        # Tracing warns of Python branches on shapes; the proof compares other shapes than the traced one.
        warnings.simplefilter("ignore")
        model = ov.convert_model(module, example_input=example, input=list(shapes.items()))
    for port, name in zip(model.inputs, example, strict=True):
        port.get_tensor().set_names({name})
    ov.save_model(model, target, compress_to_fp16=False)
