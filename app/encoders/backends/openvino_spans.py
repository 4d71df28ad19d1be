"""Late chunking on OpenVINO: the pooling of a converted model becomes one of spans."""

from typing import Any

import numpy as np
from openvino import opset13 as ops


def pool_spans(model: Any) -> bool:
    """Give the model a third input, (n, length) ones at the tokens of each span, whose means take the place of its one
    text's mean. False, and nothing is changed, where the mean is not found."""
    means = [node for node in model.get_ordered_ops() if _vectors(node) is not None]
    if len(means) != 1:
        return False
    vectors = _vectors(means[0])
    spans = ops.parameter([-1, -1], np.float32, "spans")
    total = ops.matmul(spans, ops.squeeze(vectors, np.array([0])), transpose_a=False, transpose_b=False)
    mean = ops.divide(total, ops.reduce_sum(spans, np.array([1]), keep_dims=True))
    means[0].output(0).replace(mean.output(0))
    model.add_parameters([spans])
    model.validate_nodes_and_infer_types()
    return True


def _vectors(node: Any) -> Any:
    """The token vectors whose mean it is: those that it multiplies by the mask, sums and divides; else None."""
    for kind in ("Divide", "ReduceSum"):
        if node.get_type_name() != kind:
            return None
        node = node.input_value(0).get_node()
    return (
        node.input_value(0)
        if node.get_type_name() == "Multiply" and len(node.get_output_partial_shape(0)) == 3
        else None
    )
