"""What follows a linear layer: torch's activations by their names, in numpy."""

from collections.abc import Callable

import numpy as np

from app.types import Vector

Activation = Callable[[Vector], Vector]


def softmax(rows: Vector) -> Vector:
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    shares: Vector = powers / powers.sum(axis=1, keepdims=True)
    return shares


ACTIVATIONS: dict[str, Activation] = {
    "Identity": lambda rows: rows,
    "Tanh": np.tanh,
    "ReLU": lambda rows: np.maximum(rows, np.float32(0)),
    # As a hyperbolic tangent it has no overflow.
    "Sigmoid": lambda rows: np.float32(0.5) * (np.float32(1) + np.tanh(np.float32(0.5) * rows)),
    "Softmax": softmax,
}
