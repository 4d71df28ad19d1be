"""Ray shells around `app`: thin, and the only place besides the entry points that imports Ray."""
