"""Vectors: similarity, ranking, quantization, and the bodies that carry many of them. Pure numpy."""
