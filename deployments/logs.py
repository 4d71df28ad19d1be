"""Where a replica's log lines go: into Serve's own log of this replica, in the encoding that `logging_config` names."""

import logging
from logging.handlers import MemoryHandler

OURS = ("app", "deployments")


def join_serve_log() -> None:
    """From now on what our code logs is in Serve's log, with its fields (deployment, replica, request id)."""
    serve = logging.getLogger("ray.serve")
    for handler in serve.handlers:
        if isinstance(handler, MemoryHandler):
            # Serve keeps up to 1,000 lines back; a warning should not wait for them.
            handler.flushLevel = logging.WARNING
    for name in OURS:
        log = logging.getLogger(name)
        log.handlers = serve.handlers
        log.propagate = False
        log.setLevel(serve.level)
