"""Inference: what runs a model's batches, in which order, and on which threads. No Ray."""
