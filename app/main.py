"""`build`: from settings to the Serve application. The only wiring."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ray import serve
from ray.serve import Application
from ray.serve.config import RequestRouterConfig

from app.auth import key_file
from app.config.args import Backup, ModelArgs, Placement
from app.config.settings import AppArgs
from app.encoders.clip import check_clip_model
from app.encoders.rerank import check_rerank_model
from app.encoders.sparse import check_sparse_model
from app.encoders.text import check_text_model
from app.encoders.tokens import check_token_model
from app.encoders.weights import look_up
from app.words import Kind
from deployments.clip import Clip
from deployments.ingress import Ingress
from deployments.reranker import Reranker
from deployments.similarity import Similarity
from deployments.sparse_encoder import SparseEncoder
from deployments.text_encoder import TextEncoder, load_with_backup
from deployments.token_encoder import TokenEncoder

# Of each kind of model: how its deployments' names begin, their class, and what a directory must pass.
ENCODERS: Final[dict[Kind, tuple[str, type[Any], Callable[[ModelArgs, Path], object]]]] = {
    "text": ("TextEncoder", TextEncoder, check_text_model),
    "image": ("Clip", Clip, check_clip_model),
    "rerank": ("Reranker", Reranker, check_rerank_model),
    "sparse": ("SparseEncoder", SparseEncoder, check_sparse_model),
    "token": ("TokenEncoder", TokenEncoder, check_token_model),
}
ROUTER = "deployments.serve_internals.router.LeastOutstandingRouter"


def build(args: AppArgs) -> Application:
    """Serve's builder: one typed argument, overridden by the owner's environment variables. Raises ValueError if the
    settings ask for keys and there are none, two models have the same name, or a required one can't be had: Serve then
    keeps what it runs."""
    args = args.checked()
    key_file.check(args)
    encoders = {
        kind: {model.name: _encoder(kind, model, args.backup(kind, model), args) for model in args.models(kind)}
        for kind in ENCODERS
    }
    similarity = _deployment(Similarity, "Similarity", called_options(args.similarity)).bind(args.limits)
    ingress = _deployment(Ingress, "Ingress", options(args.ingress))
    return ingress.bind(args, encoders, similarity)


def _encoder(kind: Kind, model: ModelArgs, backup: Backup | None, args: AppArgs) -> Application:
    prefix, cls, check = ENCODERS[kind]
    name = f"{prefix}-{re.sub(r'[^A-Za-z0-9.-]+', '-', model.short_name)}"
    if model.required:
        found, _, reason = load_with_backup(lambda one: look_up(one, args.offline, check), model, backup)
        if not found:
            raise ValueError(f"{model.name} is required: {reason}")
    deployment = _deployment(cls, name, called_options(model))
    return deployment.bind(model, _threads(model), args.offline, backup, args.tracing, args.serve_bypass)


def _deployment(cls: type[Any], name: str, options: dict[str, Any]) -> serve.Deployment:
    """Raises ValueError, which names the deployment, for what Ray refuses."""
    try:
        return serve.deployment(cls, name=name, **options)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


# Fields that Serve has by the same names.
SAME = {
    *("max_ongoing_requests", "max_queued_requests", "max_surge_percent", "max_replicas_per_node"),
    *("health_check_period_s", "health_check_timeout_s", "graceful_shutdown_timeout_s"),
}


def options(placement: Placement) -> dict[str, Any]:
    optional = placement.model_dump(include={"resources", "memory", "accelerator_type"})
    actor = {"num_cpus": placement.num_cpus, "num_gpus": placement.num_gpus}
    actor |= {name: value for name, value in optional.items() if value not in (None, {})}
    scaling = placement.autoscaling
    # Where nothing scales, no replica has to report its load all the time.
    fixed = scaling.min_replicas == scaling.max_replicas
    autoscaling = scaling.model_dump(exclude_none=True)
    return {
        "ray_actor_options": actor,
        **({"num_replicas": scaling.min_replicas} if fixed else {"autoscaling_config": autoscaling}),
        **placement.model_dump(include=SAME),
    }


def called_options(placement: Placement) -> dict[str, Any]:
    """Of a deployment that others call. The ingress is not one: HAProxy chooses among its replicas."""
    return options(placement) | {"request_router_config": RequestRouterConfig(request_router_class=ROUTER)}


def _threads(model: ModelArgs) -> int:
    """Inference threads of one replica; 0: a part of the CPUs of the node that it comes to."""
    return model.inference_threads or int(model.num_cpus)
