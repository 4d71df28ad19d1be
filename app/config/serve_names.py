"""Ray Serve's own fields that are none of ours there: what to write instead, for the line that refuses them."""

from typing import Final

from pydantic import ValidationError

from app.config.args import Autoscaling, Placement

_OURS: Final = (
    {name: f"`{name}`" for name in Placement.model_fields}
    | {name: f"`autoscaling: {{{name}: …}}`" for name in Autoscaling.model_fields}
    | {
        "autoscaling_config": "`autoscaling`",
        "num_replicas": "`autoscaling: {min_replicas: N, max_replicas: N}`",
        "ray_actor_options": "`num_cpus`, `num_gpus`, `memory`, `resources` and `accelerator_type`, each by itself",
        "max_concurrent_queries": "`max_ongoing_requests`",
        "target_num_ongoing_requests_per_replica": "`autoscaling: {target_ongoing_requests: …}`",
        "smoothing_factor": "`autoscaling: {upscaling_factor: …, downscaling_factor: …}`",
        "upscale_smoothing_factor": "`autoscaling: {upscaling_factor: …}`",
        "downscale_smoothing_factor": "`autoscaling: {downscaling_factor: …}`",
    }
)
# There is no such field here, nor should there be.
_BESIDE: Final = {
    *("aggregation_function", "backpressure_config", "deployment_actors", "downscale_to_zero_delay_s", "user_config"),
    *("fallback_strategy", "gang_scheduling_config", "graceful_shutdown_wait_loop_s", "label_selector", "policy"),
    *("logging_config", "max_constructor_retry_count", "request_router_config", "rolling_update_percentage"),
    *("placement_group_bundles", "placement_group_bundle_label_selector", "placement_group_strategy"),
    *("autoscaling_policy", "deployments", "external_scaler_enabled", "import_path", "route_prefix", "runtime_env"),
}


def hint(error: ValidationError) -> str | None:
    """A line about the unknown fields that are Serve's; None if none is."""
    unknown = (e["loc"] for e in error.errors() if e["type"] == "extra_forbidden")
    return "; ".join(f"{'.'.join(map(str, loc))}: {said}" for loc in unknown if (said := _said(str(loc[-1])))) or None


def _said(name: str) -> str | None:
    if ours := _OURS.get(name):
        return f"Serve's `{name}` is {ours} here, of a model, `encoder`, `ingress` or `similarity`"
    beside = "stands beside `args`, an option of a deployment in `deployments`"
    return f"Serve's `{name}` {beside}" if name in _BESIDE else None
