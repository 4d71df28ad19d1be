"""Images of noise in many shapes: wide, tall, square, and smaller and larger than a model reads."""

import numpy as np
from PIL import Image

SIZES = ((32, 32), (64, 40), (41, 97), (8, 8), (300, 200), (3, 20), (60, 9))


def pictures(*sizes: tuple[int, int]) -> list[Image.Image]:
    """By width and height; without any, of `SIZES`."""
    rng = np.random.default_rng(5)
    return [Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)) for width, height in sizes or SIZES]
