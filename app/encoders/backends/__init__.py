"""Backends: the inference engines that run a model, and the registry that chooses one."""
