"""What the tests take from Ray Serve itself; its import warns, and warnings are errors here."""

import warnings
from copy import deepcopy
from typing import Any

from app.config.settings import AppArgs

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray.serve._private.application_state import override_deployment_info
    from ray.serve._private.build_app import build_app
    from ray.serve._private.config import DeploymentConfig, ReplicaConfig
    from ray.serve._private.constants import (
        PROXY_MIN_DRAINING_PERIOD_S,
        RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S,
        RAY_SERVE_DIRECT_INGRESS_SHUTDOWN_BUFFER_S,
    )
    from ray.serve._private.deploy_utils import get_app_code_version
    from ray.serve._private.deployment_info import DeploymentInfo
    from ray.serve._private.version import DeploymentVersion
    from ray.serve.schema import DeploymentDetails, ServeApplicationSchema, ServeDeploySchema

    from app.main import build

# Seconds that Serve takes at most to end what a node has begun.
DRAINING_S = max(
    PROXY_MIN_DRAINING_PERIOD_S,
    RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S + RAY_SERVE_DIRECT_INGRESS_SHUTDOWN_BUFFER_S,
)


def deployments_of(args: AppArgs) -> set[str]:
    """Names of the deployments that the builder makes."""
    # Neither keys nor weights are here.
    optional = {
        kind: tuple(model.model_copy(update={"required": False}) for model in getattr(args, kind))
        for kind in ("text_models", "image_models")
    }
    open_to_all = args.model_copy(update={"auth": "off", **optional})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        built = build_app(build(open_to_all), name="embedding-service", make_deployment_handle=lambda *_: None)
    return {deployment.name for deployment in built.deployments}


def override(autoscaling: dict[str, Any], options: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Autoscaling of a deployment that the builder made under an entry of `deployments`, and whether it restarts."""
    built = DeploymentInfo(
        deployment_config=DeploymentConfig.from_default(autoscaling_config=autoscaling),
        replica_config=ReplicaConfig.create(lambda: None, ray_actor_options={"num_cpus": 1}),
        start_time_ms=0,
        deployer_job_id="",
        version="1",
    )
    entry = {"name": "D", **options}
    schema = ServeApplicationSchema.model_validate({"name": "a", "import_path": "m:build", "deployments": [entry]})
    changed = override_deployment_info({"D": deepcopy(built)}, schema)["D"]
    scaling = changed.deployment_config.autoscaling_config
    assert scaling is not None
    return scaling.model_dump(), _version(built).requires_actor_restart(_version(changed))


def _version(info: DeploymentInfo) -> DeploymentVersion:
    replica = info.replica_config
    return DeploymentVersion(
        info.version,
        info.deployment_config,
        replica.ray_actor_options,
        max_replicas_per_node=replica.max_replicas_per_node,
    )


def check(config: dict[str, Any]) -> None:
    """Serve's own validation. It warns of fields that move to the environment some day."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        ServeDeploySchema.model_validate(deepcopy(config))


def code_version(application: dict[str, Any]) -> str:
    """Serve builds and restarts a whole application when this changes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        version: str = get_app_code_version(ServeApplicationSchema.model_validate(deepcopy(application)))
    return version


__all__ = ["DRAINING_S", "DeploymentDetails", "check", "code_version", "deployments_of", "override"]
