"""Guards switched off one by one, in a copy of the source: each must make a test fail."""
