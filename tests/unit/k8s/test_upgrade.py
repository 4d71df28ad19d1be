"""The upgrade tool: from objects of KubeRay and Serve to the patch, and what its kubectl calls are."""

import json
import warnings
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s import upgrade
from tests.unit.k8s.manifests import PUBLIC, ROOT, rayservice, render_folder, serve_config
from tests.unit.k8s.schemas import complaints
from tests.unit.k8s.serve import DeploymentDetails, check
from tests.unit.k8s.upgrade_objects import (
    ACTIVE,
    PENDING,
    applications,
    cluster,
    condition,
    deployment,
    details,
    pending,
    service,
)

TEXT, CLIP = "TextEncoder-all-MiniLM-L6-v2", "Clip-clip-vit-base-patch32"
SCALED = details(deployment(TEXT, 7, 1, 8), deployment(CLIP, 2, 1, 4), deployment("Ingress", 3, 2, 4))


def test_the_recorded_objects_are_of_kuberays_and_serves_types() -> None:
    for recorded in (service(), service(pendingServiceStatus=pending("DEPLOYING"))):
        assert complaints(recorded) == []
    assert complaints({**service(), "spec": {**service()["spec"], "rayClusterConfig": cluster(cpu=8)["spec"]}}) == []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for found in SCALED["applications"]["embedding-service"]["deployments"].values():
            DeploymentDetails.model_validate(deepcopy(found))


def test_size_is_the_clusters_not_the_manifests() -> None:
    fixed = deployment("Similarity", 1, 0, 0)
    all_of = details(*SCALED["applications"]["embedding-service"]["deployments"].values(), fixed)
    size = upgrade.current_size(cluster("gpu", cpu=5, gpu=3), all_of)
    assert size.groups == {"cpu": 5, "gpu": 3}
    # A fixed number stands in the new config already.
    assert size.deployments == {TEXT: 7, CLIP: 2, "Ingress": 3}


@pytest.mark.parametrize(("replicas", "workers"), [(0, 1), (1, 1), (8, 8), (11, 8)])
def test_bounds_win_over_replicas_as_in_kuberay(replicas: int, workers: int) -> None:
    assert upgrade.current_size(cluster(cpu=replicas), SCALED).groups == {"cpu": workers}


def test_an_upgrade_under_way_is_not_disturbed() -> None:
    assert upgrade.active_cluster(service()) == ACTIVE
    with pytest.raises(upgrade.UpgradeError, match=f"{ACTIVE} serves and {PENDING} is being made"):
        upgrade.active_cluster(service(pendingServiceStatus=pending(None)))
    with pytest.raises(upgrade.UpgradeError, match="apply the overlay itself"):
        upgrade.active_cluster(service(activeServiceStatus={}))
    with pytest.raises(upgrade.UpgradeError, match="apply the overlay itself"):
        upgrade.active_cluster({"metadata": {}, "spec": {}})


@pytest.mark.parametrize("overlay", PUBLIC)
def test_every_overlay_has_a_place_for_initial_replicas(overlay: str) -> None:
    before = (ROOT / f"k8s/overlays/{overlay}/serve_config.yaml").read_text()
    after, left = upgrade.with_initial_replicas(before, {TEXT: 3, CLIP: 99, "Ingress": 1, "Similarity": 1, "Gone": 2})
    assert left == ["Gone"]
    expected = yaml.safe_load(before)
    for entry in expected["applications"][0]["deployments"]:
        scaling = entry["autoscaling_config"]
        wanted = {TEXT: 3, CLIP: 99}.get(entry["name"], 1)
        # Serve refuses what is beyond the bounds.
        scaling["initial_replicas"] = min(max(wanted, scaling["min_replicas"]), scaling["max_replicas"])
    assert yaml.safe_load(after) == expected
    assert [line for line in after.splitlines() if "#" in line] == [line for line in before.splitlines() if "#" in line]
    check(expected)
    assert upgrade.with_initial_replicas(after, {TEXT: 3, CLIP: 99, "Ingress": 1, "Similarity": 1}) == (after, [])


@pytest.mark.parametrize(
    "config",
    [
        "- name: 'D'\n  autoscaling_config: {max_replicas: 4}  # four\n",
        '  - name: "D" # d\r\n    autoscaling_config: {min_replicas: 1, max_replicas: 4}\r\n',
        "- name: E\n  autoscaling_config: {max_replicas: 9}\n- name: D\n  autoscaling_config: { max_replicas: 4 }",
    ],
)
def test_spellings_of_an_entry(config: str) -> None:
    after, left = upgrade.with_initial_replicas(config, {"D": 3})
    found = {entry["name"]: entry["autoscaling_config"] for entry in yaml.safe_load(after)}
    assert (found.pop("D")["initial_replicas"], left) == (3, [])
    assert all("initial_replicas" not in scaling for scaling in found.values())
    assert after.count("\r\n") == config.count("\r\n")


def test_an_entry_over_several_lines_is_named_not_lost() -> None:
    config = "deployments:\n- name: D\n  autoscaling_config:\n    max_replicas: 4\n"
    assert upgrade.with_initial_replicas(config, {"D": 3}) == (config, ["D"])


@pytest.mark.parametrize(
    ("overlay", "workers"), [("cpu", {"cpu": 8}), ("gpu", {"cpu": 5, "gpu": 3}), ("ha", {"cpu": 9})]
)
def test_the_prepared_overlay_renders_at_todays_size(overlay: str, workers: dict[str, int], tmp_path: Path) -> None:
    size = upgrade.current_size(cluster(overlay, **workers), SCALED)
    text, _ = upgrade.with_initial_replicas(
        (ROOT / f"k8s/overlays/{overlay}/serve_config.yaml").read_text(), size.deployments
    )
    folder = tmp_path / "now"
    folder.mkdir()
    relative = Path(
        "..", *[".."] * len(tmp_path.relative_to("/").parts), ROOT.relative_to("/"), "k8s/overlays", overlay
    )
    written = upgrade.kustomization(str(relative), "embeddings", upgrade.patch(size, text))
    (folder / "kustomization.yaml").write_text(json.dumps(written))
    [found] = [each for each in render_folder(folder) if each["kind"] == "RayService"]
    expected = deepcopy(rayservice(overlay))
    for group in expected["spec"]["rayClusterConfig"]["workerGroupSpecs"]:
        group["replicas"] = workers[group["groupName"]]
    expected["spec"]["serveConfigV2"] = text
    assert found == expected
    scaling = {e["name"]: e["autoscaling_config"] for e in yaml.safe_load(text)["applications"][0]["deployments"]}
    assert scaling[TEXT]["initial_replicas"] == min(7, scaling[TEXT]["max_replicas"])


def test_groups_in_another_order_are_refused_not_mixed_up() -> None:
    operations = upgrade.patch(upgrade.Size({"gpu": 3, "cpu": 5}, {}), "")
    tests = [(each["path"], each["value"]) for each in operations if each["op"] == "test"]
    path = "/spec/rayClusterConfig/workerGroupSpecs"
    assert tests == [(f"{path}/0/groupName", "gpu"), (f"{path}/1/groupName", "cpu")]


def _changed(path: str, value: Any) -> dict[str, Any]:
    """The service with one field of another value, by its path."""
    wanted = deepcopy(service())
    place: Any = wanted["spec"]
    *above, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    for part in above:
        place = place[part]
    place[last] = value
    return wanted


WORKERS, POD = "rayClusterConfig/workerGroupSpecs/0", "template/spec"


@pytest.mark.parametrize(
    ("path", "value", "effect"),
    [
        ("upgradeStrategy", {"type": "None"}, "nothing"),
        ("rayClusterDeletionDelaySeconds", 600, "nothing"),
        ("serveConfigV2", "applications: []", "in place"),
        (f"{WORKERS}/replicas", 3, "nothing"),
        (f"{WORKERS}/minReplicas", 3, "nothing"),
        (f"{WORKERS}/maxReplicas", 30, "nothing"),
        (f"{WORKERS}/scaleStrategy", {"workersToDelete": ["a"]}, "nothing"),
        (f"{WORKERS}/{POD}/tolerations", [{"operator": "Exists"}], "nothing"),
        (f"{WORKERS}/{POD}/schedulingGates", [{"name": "a"}], "nothing"),
        (f"rayClusterConfig/headGroupSpec/{POD}/tolerations", [{"operator": "Exists"}], "nothing"),
        ("rayClusterConfig/suspend", True, "nothing"),
        (f"{WORKERS}/{POD}/nodeSelector", {"a": "b"}, "new cluster"),
        (f"{WORKERS}/{POD}/containers/0/image", "embedding-service:0.2.0-cpu", "new cluster"),
        (f"{WORKERS}/{POD}/containers/0/resources/requests/cpu", "6", "new cluster"),
        (f"{WORKERS}/template/metadata/annotations", {"a": "b"}, "new cluster"),
        (f"{WORKERS}/groupName", "other", "new cluster"),
        ("rayClusterConfig/workerGroupSpecs", [], "new cluster"),
        ("rayClusterConfig/autoscalerOptions/idleTimeoutSeconds", 60, "new cluster"),
    ],
)
def test_what_kuberay_makes_of_a_change(path: str, value: Any, effect: str) -> None:
    assert upgrade.effect(service(), _changed(path, value)) == effect


def test_a_group_at_the_end_is_added_in_place() -> None:
    wanted = deepcopy(service())
    groups = wanted["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    groups.append({**deepcopy(groups[0]), "groupName": "second"})
    assert upgrade.effect(service(), wanted) == "new group"
    groups.reverse()
    assert upgrade.effect(service(), wanted) == "new cluster"


FAILED = pending("DEPLOY_FAILED", "no weights")
NOT_READY = [condition("Ready", "False", "ZeroServeEndpoints")]


@pytest.mark.parametrize(
    ("status", "says", "code"),
    [
        ({}, "8 endpoints", 0),
        ({"observedGeneration": 3}, "has not seen", None),
        ({"pendingServiceStatus": pending(None)}, "3 of 8 workers ready, no application yet", None),
        ({"pendingServiceStatus": pending("DEPLOYING")}, f"{ACTIVE} serves; {PENDING}: 3 of 8", None),
        ({"pendingServiceStatus": FAILED}, "DEPLOY_FAILED: no weights", 1),
        ({"pendingServiceStatus": pending("UNHEALTHY")}, "UNHEALTHY", 1),
        ({"conditions": NOT_READY}, "ZeroServeEndpoints", None),
        ({"conditions": [condition("Ready", "False", "ValidationFailed", "spec is invalid")]}, "spec is invalid", 1),
        (
            {
                "activeServiceStatus": {
                    "rayClusterName": ACTIVE,
                    "applicationStatuses": applications("DEPLOY_FAILED", "x"),
                }
            },
            "DEPLOY_FAILED: x",
            1,
        ),
    ],
)
def test_progress(status: dict[str, Any], says: str, code: int | None) -> None:
    line, found = upgrade.progress(service(**status))
    assert says in line
    assert found == code


def test_prepare_asks_reads_writes_and_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[tuple[str, ...]] = []
    wanted = _changed(f"{WORKERS}/{POD}/containers/0/image", "embedding-service:0.2.0-cpu")

    def answer(*arguments: str) -> str:
        calls.append(arguments)
        kind = {"rayservice": service(), "raycluster": cluster(cpu=8)}.get(arguments[5] if len(arguments) > 5 else "")
        if kind is not None:
            return json.dumps(kind)
        return json.dumps(SCALED if "exec" in arguments else {"kind": "List", "items": [{"kind": "Namespace"}, wanted]})

    monkeypatch.setattr(upgrade, "kubectl", answer)
    overlay, folder = ROOT / "k8s/overlays/cpu", tmp_path / "now"
    said = list(upgrade.prepare("embeddings", "embeddings", overlay, folder, overlay / "serve_config.yaml"))
    assert [call[2] for call in calls] == ["get", "get", "exec", str(folder)]
    assert calls[2][3:6] == (f"{ACTIVE}-head", "-c", "ray-head")
    assert said[0].startswith(f"{ACTIVE} runs workers {{'cpu': 8}}")
    assert said[-1].endswith("makes: new cluster")
    assert json.loads((folder / "kustomization.yaml").read_text())["resources"][0].endswith("k8s/overlays/cpu")
    assert serve_config("cpu")["applications"][0]["deployments"][0]["name"] == TEXT


@pytest.mark.parametrize(("limit", "asked"), [(0, 1), (4, 1), (5, 2), (60, 13)])
def test_watching_ends_with_the_time_that_it_has(
    limit: float, asked: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now, calls = 0.0, 0

    def kubectl(*_: str) -> str:
        nonlocal calls
        calls += 1
        return json.dumps(service(pendingServiceStatus=pending("DEPLOYING")))

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(upgrade, "kubectl", kubectl)
    with pytest.raises(upgrade.UpgradeError, match=f"^not over within {limit:g} s, .*{PENDING}: 3 of 8 workers ready"):
        upgrade.watch("n", "s", 5.0, limit, lambda: now, sleep)
    assert (calls, now <= limit) == (asked, True)
    # What does not change is said once.
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_watching_ends_with_the_upgrade(monkeypatch: pytest.MonkeyPatch) -> None:
    states = [service(pendingServiceStatus=pending("DEPLOYING")), service()]
    monkeypatch.setattr(upgrade, "kubectl", lambda *_: json.dumps(states.pop(0)))
    assert upgrade.watch("n", "s", 5.0, 60.0, lambda: 0.0, lambda _: None) == 0


def test_the_limit_is_an_argument_and_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(upgrade, "kubectl", lambda *_: json.dumps(service(pendingServiceStatus=pending(None))))
    assert upgrade.main(["watch", "--limit", "0"]) == 1
    assert capsys.readouterr().err.startswith("not over within 0 s")
