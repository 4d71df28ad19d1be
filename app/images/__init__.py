"""Images: where they come from, how they are decoded, and the pixels that a model reads."""
