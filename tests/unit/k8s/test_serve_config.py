"""serveConfigV2 of every overlay: `serve_config.yaml` and the differences stated here, nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.config.args import ModelArgs, Placement
from app.config.settings import AppArgs
from app.local.serve_environment import LocalPorts, environment
from tests.unit.k8s.manifests import OVERLAYS, PUBLIC, ROOT, flags, groups, serve_config
from tests.unit.k8s.serve import check, deployments_of

# Everywhere: all interfaces, KubeRay's port, logs for machines.
COMMON: dict[str, Any] = {
    "http_options": {"host": "0.0.0.0", "port": 8000},  # noqa: S104 - a comparison
    "logging_config": {"encoding": "JSON"},
}


def _scale(low: int, high: int, **more: int) -> dict[str, Any]:
    return {"autoscaling": {"min_replicas": low, "max_replicas": high, **more}}


CPU = {"num_cpus": 2, "inference_threads": 2}
GPU = {"num_cpus": 1.5, "num_gpus": 1, "backend": "torch", "device": "cuda", "precision": "f16"}
DEV = {"num_cpus": 0.2, "inference_threads": 1}
CPU_NODE = {"resources": {"cpu_node": 1}}

# Everywhere: no model that can't be had counts as healthy.
REQUIRED = {"required": True}
# By overlay: what every text model, every image model and the application's arguments have beside the file's own.
TEXT: dict[str, dict[str, Any]] = {
    "cpu": CPU | _scale(1, 8),
    "dev": DEV,
    "gpu": GPU | {"batch_size": 128, "batch_tokens": 16384} | _scale(1, 4),
    "ha": CPU | _scale(2, 12),
}
IMAGE: dict[str, dict[str, Any]] = {
    "cpu": CPU | _scale(1, 4),
    "dev": DEV,
    "gpu": GPU | {"batch_size": 64, "batch_tokens": 16384, "workers": 4} | _scale(1, 4),
    "ha": CPU | _scale(2, 6),
}
INGRESS = {"num_cpus": 1, "max_ongoing_requests": 2048}
SIMILARITY = {"num_cpus": 1}
ARGS: dict[str, dict[str, Any]] = {
    "cpu": {
        "ingress": INGRESS | {"num_cpus": 0.5} | _scale(2, 4, target_ongoing_requests=64),
        "similarity": SIMILARITY | _scale(1, 4),
    },
    "dev": {"ingress": {"num_cpus": 0.2}, "similarity": {"num_cpus": 0.2}},
    "gpu": {
        "ingress": INGRESS | CPU_NODE | _scale(2, 8, target_ongoing_requests=64),
        "similarity": SIMILARITY | CPU_NODE | _scale(1, 4),
    },
    "ha": {
        "ingress": INGRESS | _scale(3, 8, target_ongoing_requests=64),
        "similarity": SIMILARITY | _scale(2, 6),
    },
}
# Everywhere: nobody without a key.
ACCESS: dict[str, Any] = {"auth": "required", "access": {"keys_file": "/etc/embeddings/keys"}}
# Beside `autoscaling_config`, which equals the arguments' block: the builder's is replaced as a whole.
SURGE = {"max_surge_percent": 25}
DEPLOYMENTS: dict[str, dict[str, Any]] = {
    "TextEncoder-all-MiniLM-L6-v2": SURGE,
    "Clip-clip-vit-base-patch32": SURGE,
    "Ingress": {},
    "Similarity": SURGE,
}
OF_HA = {"Ingress": {"max_replicas_per_node": 1}}

# What only a local service sets: its ports, files and loopback, its quick stop, and the token mode, which KubeRay sets.
LOCAL_ONLY = {
    "LOG_NAME_UPDATE_INTERVAL_S",
    "RAY_AUTH_MODE",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER",
    "RAY_LOG_MONITOR_MANY_FILES_THRESHOLD",
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S",
    "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S",
    "RAY_gcs_pull_resource_loads_period_milliseconds",
    "REPORTER_UPDATE_INTERVAL_MS",
}


def _args(overlay: str) -> AppArgs:
    return AppArgs.model_validate(serve_config(overlay)["applications"][0]["args"])


def _autoscaling(overlay: str) -> dict[str, dict[str, Any]]:
    """What the builder would pass to Serve, by deployment."""
    args = _args(overlay)
    [text], [image] = args.text_models, args.image_models
    placements: tuple[Placement, ...] = (text, image, args.ingress, args.similarity)
    return {
        name: each.autoscaling.model_dump(exclude_none=True) for name, each in zip(DEPLOYMENTS, placements, strict=True)
    }


def test_deployments_are_those_of_the_builder() -> None:
    for overlay in OVERLAYS:
        assert deployments_of(_args(overlay)) == DEPLOYMENTS.keys()


@pytest.mark.parametrize("overlay", PUBLIC)
def test_no_ingress_is_alone(overlay: str) -> None:
    assert _args(overlay).ingress.autoscaling.min_replicas >= 2


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_equals_the_file_with_the_stated_differences(overlay: str) -> None:
    expected = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    for section, values in COMMON.items():
        expected[section] |= values
    (application,) = expected["applications"]
    for model in application["args"]["text_models"]:
        model |= REQUIRED | TEXT[overlay]
    for model in application["args"]["image_models"]:
        model |= REQUIRED | IMAGE[overlay]
    application["args"] |= ARGS[overlay] | ACCESS
    if overlay in PUBLIC:
        application["deployments"] = [
            {
                "name": name,
                "autoscaling_config": scaling,
                **DEPLOYMENTS[name],
                **(OF_HA if overlay == "ha" else {}).get(name, {}),
            }
            for name, scaling in _autoscaling(overlay).items()
        ]
    assert serve_config(overlay) == expected


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_serve_and_the_application_take_it(overlay: str) -> None:
    config = serve_config(overlay)
    check(config)
    assert [model.id for model in _args(overlay).text_models] == ["sentence-transformers/all-MiniLM-L6-v2"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_misspelt_argument_would_be_found(overlay: str) -> None:
    args = serve_config(overlay)["applications"][0]["args"] | {"text_model": []}
    with pytest.raises(ValueError, match="text_model"):
        AppArgs.model_validate(args)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_inference_threads_are_stated_on_cpu(overlay: str) -> None:
    # Unstated they follow the CPUs of the machine, of which the pod has a part.
    args = _args(overlay)
    for model in (*args.text_models, *args.image_models):
        assert model.device == "cuda" or 0 < model.inference_threads <= _cpus(overlay, "cpu")


def _cpus(overlay: str, group: str) -> float:
    return float(groups(overlay)[group]["rayStartParams"]["num-cpus"])


def _node(overlay: str, name: str) -> dict[str, float]:
    """What one node of a worker group offers Ray."""
    group = groups(overlay)[name]
    limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    custom = json.loads(json.loads(group["rayStartParams"].get("resources", '"{}"')))
    return {"CPU": float(group["rayStartParams"]["num-cpus"]), "GPU": float(limits.get("nvidia.com/gpu", 0)), **custom}


def _demand(placement: Placement) -> dict[str, float]:
    return {"CPU": placement.num_cpus, "GPU": placement.num_gpus, **placement.resources}


def _fits(demand: dict[str, float], offer: dict[str, float]) -> bool:
    return all(amount <= offer.get(name, 0) for name, amount in demand.items())


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_smallest_cluster_holds_the_smallest_application(overlay: str) -> None:
    """First fit over the minimum of nodes, largest first: nothing waits for the autoscaler at the start."""
    args = _args(overlay)
    models: tuple[ModelArgs, ...] = (*args.text_models, *args.image_models)
    placements: list[Placement] = sorted([*models, args.ingress, args.similarity], key=lambda p: -p.num_cpus)
    workers = [
        (name, _node(overlay, name))
        for name, group in groups(overlay).items()
        if name != "head"
        for _ in range(group["minReplicas"])
    ]
    placed: list[tuple[Placement, str]] = []
    for placement in placements:
        demand = _demand(placement)
        for _ in range(placement.autoscaling.min_replicas):
            name, node = next((name, node) for name, node in workers if _fits(demand, node))
            for resource, amount in demand.items():
                if amount:
                    node[resource] -= amount
            placed.append((placement, name))
    if overlay == "gpu":
        assert {name for placement, name in placed if placement in models} == {"gpu"}


def test_ingress_and_similarity_stay_off_gpu_nodes() -> None:
    args = _args("gpu")
    offer = _node("gpu", "gpu")
    assert offer == {"CPU": 3, "GPU": 1}
    assert not _fits(_demand(args.ingress), offer)
    assert not _fits(_demand(args.similarity), offer)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_flags_are_those_of_a_local_service(overlay: str) -> None:
    local = environment(LocalPorts(1, 2, 3, 4, 5), Path("/run/local"), Path("/run/local/haproxy"))
    shared = {
        name: value
        for name, value in local.items()
        if name not in LOCAL_ONLY and not name.endswith(("_PORT", "_PATH", "_LOC", "_BASE", "_FILE"))
    }
    assert {"RAY_SERVE_ENABLE_HA_PROXY", "RAY_SERVE_THROUGHPUT_OPTIMIZED"} <= shared.keys()
    ours = flags(overlay)
    path = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
    assert ours[path] == local[path]
    assert shared.items() <= ours.items()
    assert ours.keys() - shared.keys() == {
        "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S",
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH",
        "HF_HUB_OFFLINE",
        "HOME",
        "XDG_CACHE_HOME",
        "grpc_proxy",
        *(["HF_HOME"] if overlay == "dev" else []),
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_node_has_the_same_flags(overlay: str) -> None:
    sources = [group["template"]["spec"]["containers"][0]["envFrom"] for group in groups(overlay).values()]
    assert len(sources) >= 2
    assert all(source == sources[0] for source in sources)
    # The name carries a hash of the content: changed flags make a new cluster, as they must.
    assert sources[0][0]["configMapRef"]["name"].startswith("serve-flags-")


@pytest.mark.parametrize(("overlay", "offline"), [("cpu", True), ("dev", False), ("gpu", True), ("ha", True)])
def test_only_dev_asks_the_hub(overlay: str, offline: bool) -> None:
    assert _args(overlay).with_environment(flags(overlay)).offline == offline
