"""What the tests take from Ray Serve itself; its import warns, and warnings are errors here."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray.serve._private.constants import (
        PROXY_MIN_DRAINING_PERIOD_S,
        RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S,
        RAY_SERVE_DIRECT_INGRESS_SHUTDOWN_BUFFER_S,
    )
    from ray.serve.schema import ServeDeploySchema

# Seconds that Serve takes at most to end what a node has begun.
DRAINING_S = max(
    PROXY_MIN_DRAINING_PERIOD_S,
    RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S + RAY_SERVE_DIRECT_INGRESS_SHUTDOWN_BUFFER_S,
)

__all__ = ["DRAINING_S", "ServeDeploySchema"]
