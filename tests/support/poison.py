"""What `tests.support.poisoned` does to models, by name. Here, because Ray's imports warn."""

# Ends whatever process encodes it.
POISON = "the text that no process survives"
# A model of this name is MiniLM, and its self-test asks for other vectors.
DRIFTED = "drifted"
