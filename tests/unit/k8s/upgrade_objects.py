"""A RayService and its RayCluster as KubeRay 1.7.0's types have them, and Serve's details as Ray's have them."""

from typing import Any

from tests.unit.k8s.manifests import rayservice

Object = dict[str, Any]
ACTIVE, PENDING = "embeddings-2mxzt", "embeddings-9kq4v"


def condition(kind: str, status: str, reason: str, message: str = "") -> Object:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-08-01T08:00:00Z",
        "observedGeneration": 4,
    }


def cluster_status(ready: int, desired: int) -> Object:
    return {
        "state": "ready",
        "lastUpdateTime": "2026-08-01T08:00:00Z",
        "readyWorkerReplicas": ready,
        "availableWorkerReplicas": ready,
        "desiredWorkerReplicas": desired,
        "minWorkerReplicas": 1,
        "maxWorkerReplicas": 8,
        "desiredCPU": "58",
        "desiredMemory": "134Gi",
        "desiredGPU": "0",
        "desiredTPU": "0",
        "observedGeneration": 9,
        "head": {"podName": f"{ACTIVE}-head", "podIP": "10.0.0.9", "serviceName": f"{ACTIVE}-head-svc"},
    }


def applications(status: str, message: str = "") -> Object:
    deployments = {"Ingress": {"status": "HEALTHY", "message": ""}}
    return {"embedding-service": {"status": status, "message": message, "serveDeploymentStatuses": deployments}}


def service(overlay: str = "cpu", **status: Any) -> Object:
    """A service that serves with eight workers, and the status fields that a test adds."""
    manifest = rayservice(overlay)
    return {
        **manifest,
        "metadata": {**manifest["metadata"], "generation": 4},
        "status": {
            "serviceStatus": "Running",
            "observedGeneration": 4,
            "numServeEndpoints": 8,
            "lastUpdateTime": "2026-08-01T08:00:00Z",
            "conditions": [
                condition("Ready", "True", "NonZeroServeEndpoints"),
                condition("UpgradeInProgress", "False", "NoPendingCluster"),
            ],
            "activeServiceStatus": {
                "rayClusterName": ACTIVE,
                "rayClusterStatus": cluster_status(8, 8),
                "applicationStatuses": applications("RUNNING"),
            },
            "pendingServiceStatus": {},
            **status,
        },
    }


def pending(status: str | None, message: str = "") -> Object:
    """The status of a cluster that is being made."""
    found = {} if status is None else {"applicationStatuses": applications(status, message)}
    return {"rayClusterName": PENDING, "rayClusterStatus": cluster_status(3, 8), **found}


def cluster(overlay: str = "cpu", **replicas: int) -> Object:
    """The active RayCluster, with the workers that its autoscaler asked for."""
    spec = service(overlay)["spec"]["rayClusterConfig"]
    groups = [
        {**group, "replicas": replicas[group["groupName"]], "scaleStrategy": {"workersToDelete": []}}
        for group in spec["workerGroupSpecs"]
    ]
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": {"name": ACTIVE},
        "spec": {**spec, "workerGroupSpecs": groups},
        "status": cluster_status(8, 8),
    }


def deployment(name: str, replicas: int, low: int, high: int) -> Object:
    """One of Serve's `DeploymentDetails`."""
    scaling = {"min_replicas": low, "max_replicas": high} if high else None
    return {
        "name": name,
        "status": "HEALTHY",
        "status_trigger": "CONFIG_UPDATE_COMPLETED",
        "message": "",
        "deployment_config": {"name": name, "autoscaling_config": scaling},
        "target_num_replicas": replicas,
        "required_resources": {"CPU": 1.0},
        "replicas": [],
        "recent_dead_replicas": [],
    }


def details(*deployments: Object) -> Object:
    return {"applications": {"embedding-service": {"deployments": {each["name"]: each for each in deployments}}}}
