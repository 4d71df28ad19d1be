"""Late chunking on OpenVINO: the pooling of a converted model becomes one of spans."""

from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops


def pool_spans(model: Any) -> bool:
    """Give the model a third input, (n, length) ones at the tokens of each span, whose means take the place of its one
    text's mean. False, and nothing is changed, where the mean is not found."""
    means = [node for node in model.get_ordered_ops() if _vectors(node) is not None]
    if len(means) != 1:
        return False
    vectors = _vectors(means[0])
    spans = ops.parameter([-1, -1], np.float32, "spans")
    total = ops.matmul(spans, ops.squeeze(vectors, np.int64([0])), transpose_a=False, transpose_b=False)
    mean = ops.divide(total, ops.reduce_sum(spans, np.int64([1]), keep_dims=True))
    means[0].output(0).replace(mean.output(0))
    model.add_parameters([spans])
    model.validate_nodes_and_infer_types()
    return True


def _vectors(node: Any) -> Any:
    """The token vectors whose mean it is: those that it multiplies by the mask, sums and divides; else None."""
    if node.get_type_name() != "Divide":
        return None
    total = node.input_value(0).get_node()
    if total.get_type_name() != "ReduceSum":
        return None
    product = total.input_value(0).get_node()
    vectors, mask = product.input_value(0), product.input_value(1)
    ranks = [one.get_partial_shape().rank for one in (vectors, mask)]
    return vectors
