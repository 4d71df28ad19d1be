import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray.serve._private.request_router.replica_wrapper import RunningReplica

    from deployments.serve_internals import rpc
from tests.support.rpc_pair import GRPC


@pytest.fixture
def without_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunningReplica, "try_send_request", lambda *_: GRPC)
    monkeypatch.setattr(rpc, "get_node_ip_address", lambda: "127.0.0.1")
