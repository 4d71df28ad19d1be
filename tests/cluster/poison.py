"""The text that ends whatever process encodes it, in `tests.cluster.poisoned`. Here, because Ray's imports warn."""

POISON = "the text that no process survives"
