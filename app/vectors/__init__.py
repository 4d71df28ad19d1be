"""Vectors: similarity, quantization, and the request bodies of `/similarity`. Pure numpy."""
