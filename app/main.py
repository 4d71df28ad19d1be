"""`build`: from settings to the Serve application. The only wiring."""

import os
import re
from typing import Any, Final

from ray import serve
from ray.serve import Application
from ray.serve.config import RequestRouterConfig

from app.auth import key_file
from app.config.args import Backup, ModelArgs, Placement
from app.config.settings import AppArgs
from app.types import Kind
from deployments.clip import Clip
from deployments.ingress import Ingress
from deployments.reranker import Reranker
from deployments.similarity import Similarity
from deployments.text_encoder import TextEncoder

# The deployment's class, which gives it its name, of each kind of model.
ENCODERS: Final[dict[Kind, type[Any]]] = {"text": TextEncoder, "image": Clip, "rerank": Reranker}
ROUTER = "deployments.serve_internals.router.LeastOutstandingRouter"


def build(args: AppArgs) -> Application:
    """Serve's builder: one typed argument, overridden by the owner's environment variables. Raises ValueError if the
    settings ask for keys and there are none, or two models have the same name."""
    args = args.with_environment()
    key_file.check(args)
    names = [model.name for model in args.models()]
    if len(set(names)) < len(names):
        raise ValueError(f"two models have the same name: {', '.join(names)}")
    encoders = {
        kind: {model.name: _encoder(cls, model, args.backup(kind, model), args) for model in args.models(kind)}
        for kind, cls in ENCODERS.items()
    }
    similarity = serve.deployment(Similarity, name="Similarity", **called_options(args.similarity)).bind(args.limits)
    ingress = serve.deployment(Ingress, name="Ingress", **options(args.ingress))
    return ingress.bind(args, encoders, similarity)


def _encoder(cls: type[Any], model: ModelArgs, backup: Backup | None, args: AppArgs) -> Application:
    name = f"{cls.__name__}-{re.sub(r'[^A-Za-z0-9.-]+', '-', model.short_name)}"
    deployment = serve.deployment(cls, name=name, **called_options(model))
    return deployment.bind(model, _threads(model), args.offline, backup, args.tracing, args.serve_bypass)


def options(placement: Placement) -> dict[str, Any]:
    optional = placement.model_dump(include={"resources", "memory", "accelerator_type"})
    actor = {"num_cpus": placement.num_cpus, "num_gpus": placement.num_gpus}
    actor |= {name: value for name, value in optional.items() if value not in (None, {})}
    scaling = placement.autoscaling
    # Where nothing scales, no replica has to report its load all the time.
    fixed = scaling.min_replicas == scaling.max_replicas
    return {
        "ray_actor_options": actor,
        **({"num_replicas": scaling.min_replicas} if fixed else {"autoscaling_config": scaling.model_dump()}),
        "max_ongoing_requests": placement.max_ongoing_requests,
        "health_check_period_s": placement.health_check_period_s,
        "health_check_timeout_s": placement.health_check_timeout_s,
        "graceful_shutdown_timeout_s": placement.graceful_shutdown_timeout_s,
    }


def called_options(placement: Placement) -> dict[str, Any]:
    """Of a deployment that others call. The ingress is not one: HAProxy chooses among its replicas."""
    return options(placement) | {"request_router_config": RequestRouterConfig(request_router_class=ROUTER)}


def _threads(model: ModelArgs) -> int:
    """Inference threads of one replica. By default the node's CPUs are shared by the replicas of one model: two models
    are seldom at their peak together, and an idle one should cost nothing."""
    return model.inference_threads or max(1, (os.cpu_count() or 1) // model.autoscaling.max_replicas)
