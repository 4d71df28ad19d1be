"""Converts a torch module to OpenVINO. `openvino_models` starts it by name, in a process of its own."""

import json
import os
import sys
import threading
import warnings
from pathlib import Path

import openvino as ov

from app.encoders.backends import torch_runner
from app.encoders.backends.contract import Graph
from app.errors import ModelUnavailable


def main(graph: str, target: str) -> None:
    """The child's work; it ends the process."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    code = 0
    try:
        write(Graph.from_dict(json.loads(graph)), Path(target))
    except ModelUnavailable as exc:
        sys.stderr.write(f"{exc}\n")
        code = 1
    sys.stderr.flush()
    # Not sys.exit: nothing is left to tidy, and torch takes its time.
    os._exit(code)


def write(graph: Graph, target: Path) -> None:
    """Convert the torch module of a graph in memory and save it in float32."""
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


def _end_with_parent() -> None:
    # Not sys.stdin: its lock would be held for ever, and a fork would wait for it.
    os.read(0, 1)
    os._exit(1)
