"""The edge: what it lets through, and that no key crosses it in clear."""

import pytest

from app.config.args import Limits
from tests.unit.k8s.manifests import PUBLIC, of_kind, rayservice


@pytest.mark.parametrize("overlay", PUBLIC)
def test_the_edge_lets_through_what_the_service_takes(overlay: str) -> None:
    limits = Limits()
    (gateway,), (route,) = of_kind(overlay, "Gateway"), of_kind(overlay, "HTTPRoute")
    (clients,), (backend,) = of_kind(overlay, "ClientTrafficPolicy"), of_kind(overlay, "BackendTrafficPolicy")
    # A key never crosses in clear: there is no other listener.
    (listener,) = gateway["spec"]["listeners"]
    assert (listener["protocol"], listener["port"], listener["tls"]["mode"]) == ("HTTPS", 443, "Terminate")
    assert route["spec"]["hostnames"] == [listener["hostname"]]
    [parent] = route["spec"]["parentRefs"]
    assert parent == {"name": gateway["metadata"]["name"], "sectionName": listener["name"]}
    [rule] = route["spec"]["rules"]
    service = rayservice(overlay)["metadata"]["name"] + "-serve-svc"
    assert rule["backendRefs"] == [{"name": service, "port": 8000}]
    for timeout in rule["timeouts"].values():
        assert limits.deadline_s < int(timeout.removesuffix("s")) <= 2 * limits.deadline_s
    body = int(backend["spec"]["requestBuffer"]["limit"].removesuffix("Mi")) * 2**20
    assert max(limits.text_body, limits.image_body, limits.vector_body) <= body <= 2 * limits.vector_body
    for policy, target in ((clients, gateway), (backend, route)):
        [ref] = policy["spec"]["targetRefs"]
        assert (ref["kind"], ref["name"]) == (target["kind"], target["metadata"]["name"])
