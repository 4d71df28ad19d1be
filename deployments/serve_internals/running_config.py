"""The configuration by which a deployment runs now, as Serve's controller tells the routers of its callers."""

from typing import Any


def most_replicas(handle: Any) -> int | None:
    """How many replicas it may have; None before Serve has said so, or where this Ray keeps it elsewhere."""
    try:
        config = handle._router._asyncio_router._metrics_manager._deployment_config
        scaling = config.autoscaling_config
        return int(config.num_replicas if scaling is None else scaling.max_replicas)
    except (AttributeError, TypeError):
        return None
