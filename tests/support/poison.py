"""The text that ends whatever process encodes it, in `tests.support.poisoned`. Here, because Ray's imports warn."""

POISON = "the text that no process survives"
