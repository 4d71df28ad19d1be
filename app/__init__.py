"""Product logic: pure, and testable without a cluster. Only `main` and `__main__` know Ray."""
