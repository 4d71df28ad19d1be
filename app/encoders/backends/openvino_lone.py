"""One text alone on OpenVINO. A graph of any shape works out each node's shapes in every run; what is compiled for one
shape does not. The branches here share their weights, which separately compiled models would each keep again."""

from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from app.encoders.shapes import ALONE


def with_fixed_lengths(model: Any) -> Any:
    """The same function of ids and mask, (n, length) each, with a branch for one row of each length of ALONE."""
    whole = model.clone()
    for length in reversed(ALONE):
        whole = _either(_fixed(model, length), whole, length)
    return whole


def _either(fixed: Any, other: Any, length: int) -> Any:
    inputs = _parameters()
    is_fixed = ops.reduce_logical_and(ops.equal(ops.shape_of(inputs[0]), np.array([1, length])), np.array([0]))
    branch = ops.if_op(is_fixed.output(0))
    branch.set_then_body(fixed)
    branch.set_else_body(other)
    for outer, *inner in zip(inputs, fixed.get_parameters(), other.get_parameters(), strict=True):
        branch.set_input(outer.output(0), *inner)
    branch.set_output(fixed.get_results()[0], other.get_results()[0])
    return ov.Model([ops.result(branch.output(0))], inputs, f"of {length}")


def _fixed(model: Any, length: int) -> Any:
    fixed, inputs = model.clone(), _parameters()
    for inner, outer in zip(fixed.get_parameters(), inputs, strict=True):
        inner.output(0).replace(ops.reshape(outer, np.array([1, length]), special_zero=False).output(0))
    return ov.Model([ops.result(fixed.get_results()[0].input_value(0))], inputs, f"{length}")


def _parameters() -> list[Any]:
    return [ops.parameter([-1, -1], np.int32, name) for name in ("input_ids", "attention_mask")]
