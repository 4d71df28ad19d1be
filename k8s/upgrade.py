"""Upgrade the RayService to a new Ray cluster that begins at the old one's size. Needs Python and kubectl only.

    python k8s/upgrade.py prepare k8s/overlays/cpu k8s/overlays/now   # writes the overlay at its present size
    kubectl apply -k k8s/overlays/now
    python k8s/upgrade.py watch                                       # until requests have moved
    kubectl apply -k k8s/overlays/cpu                                 # takes `initial_replicas` out again

KubeRay makes a new cluster from the manifest, where `replicas` is the smallest size, and Serve starts the smallest
number of replicas. `prepare` reads how many workers and replicas there are and writes both numbers into a patch.
"""

import argparse
import copy
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Object = dict[str, Any]

# Asked on the head, where the container has Ray's token; the operator's machine needs neither Ray nor the token.
SERVE_DETAILS = (
    "import json; from ray.dashboard.modules.serve.sdk import ServeSubmissionClient as Client; "
    "print(json.dumps(Client('http://127.0.0.1:8265').get_serve_details()))"
)
# What KubeRay 1.7.0 leaves out of the hash that decides about a new cluster: util.go,
# GenerateHashWithoutReplicasAndWorkersToDelete, and rayservice_controller.go, rayClusterSpecForHashing.
MUTED_IN_CLUSTER = ("suspend", "upgradeStrategy")
MUTED_IN_GROUP = ("replicas", "minReplicas", "maxReplicas")
MUTED_IN_POD = ("tolerations", "schedulingGates")

ENTRY = re.compile(r"\s*- name: (?P<name>\S+)\s*(#.*)?")
AUTOSCALING = re.compile(r"(?P<head>\s*autoscaling_config: )\{(?P<fields>[^{}]*)\}(?P<tail>\s*(#.*)?)")


class UpgradeError(Exception):
    """What the operator has to know instead of a traceback."""


@dataclass(frozen=True)
class Size:
    """What runs: workers by group, in the cluster's order, and replicas by autoscaled deployment."""

    groups: dict[str, int]
    deployments: dict[str, int]


def active_cluster(service: Object) -> str:
    """The name of the Ray cluster that serves. Raises UpgradeError where none does, or an upgrade is under way."""
    status = service.get("status", {})
    pending = status.get("pendingServiceStatus", {}).get("rayClusterName")
    active: str | None = status.get("activeServiceStatus", {}).get("rayClusterName")
    if not active:
        raise UpgradeError("no Ray cluster serves yet: apply the overlay itself")
    if pending:
        raise UpgradeError(f"{active} serves and {pending} is being made: wait for it (watch), or roll back first")
    return active


def current_size(cluster: Object, serve: Object) -> Size:
    """The size of a RayCluster, whose counts its autoscaler keeps, and of what Serve says that it runs."""
    groups: dict[str, int] = {}
    for group in cluster["spec"].get("workerGroupSpecs", []):
        # As KubeRay reads them: minimum and maximum win over `replicas`.
        least, wanted = group.get("minReplicas", 0), group.get("replicas", 0)
        groups[group["groupName"]] = min(max(wanted, least), group.get("maxReplicas", sys.maxsize))
    deployments = {
        name: details["target_num_replicas"]
        for application in serve["applications"].values()
        for name, details in application["deployments"].items()
        if details["deployment_config"].get("autoscaling_config")
    }
    return Size(groups, deployments)


def with_initial_replicas(config: str, replicas: dict[str, int]) -> tuple[str, list[str]]:
    """The Serve config with `initial_replicas` in its `deployments`, and the deployments that have no entry there.

    Comments and order stay. An entry is `- name: NAME` and `autoscaling_config: {…}` on a line of its own.
    """
    name, left = "", dict(replicas)
    lines: list[str] = []
    for line in config.splitlines(keepends=True):
        text, end = line.rstrip("\r\n"), line[len(line.rstrip("\r\n")) :]
        if entry := ENTRY.fullmatch(text):
            name = entry["name"].strip("'\"")
        elif (block := AUTOSCALING.fullmatch(text)) and name in left:
            pairs = (pair.split(":") for pair in block["fields"].split(","))
            fields = {key.strip(): value.strip() for key, value in pairs}
            # Serve refuses a number beyond these, and the new config may have other ones.
            low, high = int(fields.get("min_replicas", "1")), int(fields.get("max_replicas", "1"))
            fields["initial_replicas"] = str(min(max(left.pop(name), low), high))
            text = f"{block['head']}{{{', '.join(f'{key}: {value}' for key, value in fields.items())}}}{block['tail']}"
        lines.append(text + end)
    return "".join(lines), sorted(left)


def patch(size: Size, config: str) -> list[Object]:
    """JSON patch of the RayService: today's counts, and the Serve config. Fails where a group has another place."""
    operations: list[Object] = []
    for index, (name, count) in enumerate(size.groups.items()):
        path = f"/spec/rayClusterConfig/workerGroupSpecs/{index}"
        operations.append({"op": "test", "path": f"{path}/groupName", "value": name})
        operations.append({"op": "add", "path": f"{path}/replicas", "value": count})
    return [*operations, {"op": "add", "path": "/spec/serveConfigV2", "value": config}]


def kustomization(overlay: str, service: str, operations: list[Object]) -> Object:
    """The overlay with the patch, as a kustomization; JSON is YAML."""
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [overlay],
        "patches": [{"target": {"kind": "RayService", "name": service}, "patch": json.dumps(operations, indent=2)}],
    }


def hashed(config: Object, groups: int | None = None) -> Object:
    """Of a `rayClusterConfig` what KubeRay compares; of its worker groups only the first `groups`."""
    result = {key: value for key, value in copy.deepcopy(config).items() if key not in MUTED_IN_CLUSTER}
    result["workerGroupSpecs"] = result.get("workerGroupSpecs", [])[:groups]
    for group in (result["headGroupSpec"], *result["workerGroupSpecs"]):
        for key in MUTED_IN_POD:
            group["template"]["spec"].pop(key, None)
    for group in result["workerGroupSpecs"]:
        for key in MUTED_IN_GROUP:
            group.pop(key, None)
        group["scaleStrategy"] = {**group.get("scaleStrategy", {}), "workersToDelete": []}
    return result


def effect(live: Object, wanted: Object) -> str:
    """What KubeRay does with the wanted RayService: `new cluster`, `new group`, `in place` or `nothing`."""
    old, new = live["spec"]["rayClusterConfig"], wanted["spec"]["rayClusterConfig"]
    if hashed(old) != hashed(new):
        count = len(old.get("workerGroupSpecs", []))
        if hashed(old) != hashed(new, count):
            return "new cluster"
        return "new group"
    return "nothing" if live["spec"]["serveConfigV2"] == wanted["spec"]["serveConfigV2"] else "in place"


def progress(service: Object) -> tuple[str, int | None]:
    """A line about the upgrade, and the exit status once it is over: 0 for done, 1 for failed."""
    status = service.get("status", {})
    active, pending = status.get("activeServiceStatus", {}), status.get("pendingServiceStatus", {})
    serving = active.get("rayClusterName") or "no cluster"
    conditions = {condition["type"]: condition for condition in status.get("conditions", [])}
    ready = conditions.get("Ready", {})
    if ready.get("reason") in ("ValidationFailed", "InitializingTimeout"):
        return f"{serving} serves; {ready['reason']}: {ready.get('message', '')}", 1
    if status.get("observedGeneration") != service["metadata"].get("generation"):
        return f"{serving} serves; KubeRay has not seen the change yet", None
    if name := pending.get("rayClusterName"):
        cluster = pending.get("rayClusterStatus", {})
        workers = f"{cluster.get('readyWorkerReplicas', 0)} of {cluster.get('desiredWorkerReplicas', 0)} workers ready"
        applications = pending.get("applicationStatuses", {})
        states = ", ".join(sorted({each.get("status", "") for each in applications.values()})) or "no application yet"
        line = f"{serving} serves; {name}: {workers}, {states}"
        for application in applications.values():
            if application.get("status") in ("DEPLOY_FAILED", "UNHEALTHY"):
                return f"{line}: {application.get('message', '')}", 1
        return line, None
    if ready.get("status") != "True":
        return f"{serving}: not ready ({ready.get('reason', 'no condition yet')})", None
    for application in active.get("applicationStatuses", {}).values():
        if application.get("status") == "DEPLOY_FAILED":
            return f"{serving} serves what it can; DEPLOY_FAILED: {application.get('message', '')}", 1
    return f"{serving} serves, {status.get('numServeEndpoints', 0)} endpoints; no other cluster is being made", 0


def kubectl(*arguments: str) -> str:
    done = subprocess.run(["kubectl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UpgradeError(f"kubectl {' '.join(arguments[:4])} …: {done.stderr.strip()}")
    return done.stdout


def prepare(namespace: str, name: str, overlay: Path, folder: Path, serve_config: Path) -> Iterator[str]:
    """Writes `folder`, and says what will happen."""
    get = ("-n", namespace, "get", "-o", "json")
    service = json.loads(kubectl(*get, "rayservice", name))
    cluster_name = active_cluster(service)
    cluster = json.loads(kubectl(*get, "raycluster", cluster_name))
    head = cluster["status"]["head"]["podName"]
    details = json.loads(kubectl("-n", namespace, "exec", head, "-c", "ray-head", "--", "python", "-c", SERVE_DETAILS))
    size = current_size(cluster, details)
    config, left = with_initial_replicas(serve_config.read_text(), size.deployments)
    folder.mkdir(parents=True, exist_ok=True)
    written = kustomization(os.path.relpath(overlay, folder), name, patch(size, config))
    (folder / "kustomization.yaml").write_text(json.dumps(written, indent=2) + "\n")
    # Rendered by the API server, with its defaults, but not kept.
    rendered = json.loads(kubectl("apply", "-k", str(folder), "--dry-run=server", "-o", "json"))
    [wanted] = [item for item in rendered["items"] if item["kind"] == "RayService" and item["metadata"]["name"] == name]
    yield f"{cluster_name} runs workers {size.groups} and replicas {size.deployments}"
    for deployment in left:
        yield f"{deployment} has no autoscaling_config in {serve_config}: it begins at its minimum, or it goes"
    yield f"{folder} makes: {effect(service, wanted)}"


def watch(
    namespace: str,
    name: str,
    seconds: float,
    limit: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """The exit status. Raises UpgradeError if the upgrade is not over within `limit` seconds."""
    last, ends = "", clock() + limit
    while True:
        line, status = progress(json.loads(kubectl("-n", namespace, "get", "-o", "json", "rayservice", name)))
        if line != last:
            print(line, flush=True)
        if status is not None:
            return status
        if clock() + seconds > ends:
            raise UpgradeError(f"not over within {limit:g} s, and nothing is undone: watch again, or roll back; {line}")
        last = line
        sleep(seconds)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--namespace", default="embeddings")
    parser.add_argument("--name", default="embeddings", help="of the RayService")
    commands = parser.add_subparsers(dest="command", required=True)
    preparing = commands.add_parser("prepare", help="write a kustomization: an overlay at the present size")
    preparing.add_argument("overlay", type=Path)
    preparing.add_argument("folder", type=Path)
    preparing.add_argument("--serve-config", type=Path, help="default: serve_config.yaml of the overlay")
    watching = commands.add_parser("watch", help="say how the upgrade goes, until it is over")
    watching.add_argument("--every", type=float, default=5.0, metavar="SECONDS")
    watching.add_argument("--limit", type=float, default=3600.0, metavar="SECONDS", help="then it ends with 1")
    asked = parser.parse_args(arguments)
    try:
        if asked.command == "watch":
            return watch(asked.namespace, asked.name, asked.every, asked.limit)
        config = asked.serve_config or asked.overlay / "serve_config.yaml"
        for line in prepare(asked.namespace, asked.name, asked.overlay, asked.folder, config):
            print(line)
    except UpgradeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
