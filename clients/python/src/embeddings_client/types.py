"""Value types of requests and responses."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
"""float32, shape (dimensions,) or (n, dimensions), C-contiguous."""

SimilarityMetric = Literal["cosine", "euclidean", "dot"]
InputType = Literal["query", "document"]
OutputType = Literal["float32", "int8", "uint8", "binary", "ubinary"]
