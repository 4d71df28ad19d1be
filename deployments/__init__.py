"""Ray shells around `app`: thin, and the only place besides the entry points that imports Ray."""

from app.config.settings import lead_past_proxies
from deployments.serve_internals.loopback import keep_on_loopback

# Whatever a replica runs is imported from here, before the replica listens or calls another.
lead_past_proxies()
keep_on_loopback()
