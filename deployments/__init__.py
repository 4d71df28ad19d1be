"""Ray shells around `app`: thin, and the only place besides the entry points that imports Ray."""

from deployments.serve_internals.loopback import keep_on_loopback

# Whatever a replica runs is imported from here, before the replica listens.
keep_on_loopback()
