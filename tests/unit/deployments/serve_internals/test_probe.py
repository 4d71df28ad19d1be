"""What can be used of Ray is decided by version and signature, with fakes of other releases.

The imports of Ray warn, and warnings are errors here.
"""

import abc
import logging
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Iterator
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

import pytest

from app.config.args import ServeBypass
from tests.support.serve_fakes import Inside, Metrics

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray.serve._private import constants
    from ray.serve._private import replica as serve_replica
    from ray.serve._private.common import DeploymentID
    from ray.serve._private.utils import Semaphore

    from deployments.serve_internals import probe
    from deployments.serve_internals.accounting import CALLS, ReplicaAccounting
    from deployments.serve_internals.bypass_middleware import BypassMiddleware
    from deployments.serve_internals.router import LeastOutstandingRouter


@pytest.fixture(autouse=True)
def replica(monkeypatch: pytest.MonkeyPatch) -> Iterator[Inside]:
    """This process is an ingress replica in the shipped configuration."""
    inside = Inside()
    monkeypatch.setattr(probe, "own_replica", lambda: inside)
    monkeypatch.setattr(constants, "RAY_SERVE_ENABLE_DIRECT_INGRESS", True)
    monkeypatch.setattr(
        constants, "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH", "deployments.client_headers:middlewares"
    )
    probe.why_not.cache_clear()
    yield inside
    probe.why_not.cache_clear()


def test_the_pinned_ray_has_all_parts() -> None:
    assert [probe.why_not(part) for part in ("rpc", "middleware")] == [None, None]
    assert probe.decide("require") == {"rpc", "middleware"}


@pytest.mark.parametrize("version", ["2.55.1", "2.61.0", "2.6.0", "3.0.0"])
def test_another_release_is_not_leaned_on(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr("ray.__version__", version)
    assert f"Ray {version} is not among the known releases" in str(probe.why_not("rpc"))
    assert probe.decide("auto") == frozenset()


class MetricsOf255(Metrics):
    """`record_request_metrics` had another keyword."""

    def record_request_metrics(self, *, route: str, latency_ms: float, was_error: bool) -> None:  # type: ignore[override]
        raise AssertionError("it must not be called")


class MetricsThatAskForMore(Metrics):
    def record_ingress_request_metrics(self, *, latency_ms: float, tenant: str, **tags: Any) -> None:  # type: ignore[override]
        raise AssertionError("it must not be called")


@pytest.mark.parametrize(
    ("metrics", "named"),
    [(MetricsOf255(), "record_request_metrics"), (MetricsThatAskForMore(), "'tenant'")],
)
def test_a_name_with_another_signature_is_no_match(replica: Inside, metrics: Metrics, named: str) -> None:
    vars(replica).update(_metrics_manager=metrics)
    for part in ("rpc", "middleware"):
        reason = str(probe.why_not(part))
        assert "has another signature" in reason
        assert named in reason


@pytest.mark.parametrize(
    "name", ["_semaphore", "_metrics_manager", "_deployment_id", "_user_callable_wrapper", "_quiescing"]
)
def test_a_replica_without_one_of_its_parts(replica: Inside, name: str) -> None:
    delattr(replica, name)
    assert name in str(probe.why_not("rpc"))
    assert name in str(probe.why_not("middleware"))


def test_code_in_a_thread_of_its_own(replica: Inside) -> None:
    vars(replica).update(_user_callable_wrapper=SimpleNamespace(_run_user_code_in_separate_thread=True))
    assert "RAY_SERVE_THROUGHPUT_OPTIMIZED" in str(probe.why_not("rpc"))
    assert "RAY_SERVE_THROUGHPUT_OPTIMIZED" in str(probe.why_not("middleware"))


@pytest.mark.parametrize(("value", "is_on"), [("1", True), ("True", True), ("0", False), ("", False)])
def test_no_rpc_beside_rays_tls(monkeypatch: pytest.MonkeyPatch, replica: Inside, value: str, is_on: bool) -> None:
    monkeypatch.setenv("RAY_USE_TLS", value)
    assert ("RAY_USE_TLS" in str(probe.why_not("rpc"))) == is_on
    assert probe.why_not("middleware") is None


def test_what_only_the_middleware_needs(monkeypatch: pytest.MonkeyPatch, replica: Inside) -> None:
    def reason() -> str | None:
        probe.why_not.cache_clear()
        assert probe.why_not("rpc") is None
        return probe.why_not("middleware")

    vars(replica).update(_route_prefix="/v2")
    assert "/v2" in str(reason())
    monkeypatch.setattr(constants, "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH", None)
    assert "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH" in str(reason())
    monkeypatch.setattr(constants, "RAY_SERVE_ENABLE_DIRECT_INGRESS", False)
    assert "RAY_SERVE_ENABLE_HA_PROXY" in str(reason())


def test_a_process_that_is_no_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "own_replica", lambda: None)
    assert probe.why_not("rpc") == "this process is no replica of Serve's"
    router = object.__new__(LeastOutstandingRouter)
    monkeypatch.setattr(f"{LeastOutstandingRouter.__module__}.RunningReplica", lambda info: ("Serve's", info))
    assert router.create_replica_wrapper("info") == ("Serve's", "info")


def test_a_base_class_that_asks_for_more() -> None:
    class Base(abc.ABC):
        @abc.abstractmethod
        def old(self) -> None: ...
        @abc.abstractmethod
        def new(self) -> None: ...

    class Ours(Base):
        def old(self) -> None: ...

    with pytest.raises(probe.Unusable, match="Ours lacks what its base class asks for: new"):
        probe.check_implemented(Ours)


def test_it_is_decided_once(monkeypatch: pytest.MonkeyPatch, replica: Inside) -> None:
    assert probe.why_not("rpc") is None
    del vars(replica)["_semaphore"]
    assert probe.why_not("rpc") is None


@pytest.mark.parametrize(
    ("setting", "used"),
    [
        ("auto", {"rpc", "middleware"}),
        ("off", set()),
        (("rpc",), {"rpc"}),
        (("middleware",), {"middleware"}),
        ((), set()),
        (("rpc", "middleware"), {"rpc", "middleware"}),
    ],
)
def test_the_setting_says_which_are_wanted(setting: ServeBypass, used: set[str]) -> None:
    assert probe.decide(setting) == used


def test_require_fails_with_the_reason_and_auto_logs_it(replica: Inside, caplog: pytest.LogCaptureFixture) -> None:
    vars(replica).update(_route_prefix="/v2")
    with pytest.raises(RuntimeError, match="middleware: the application is served at /v2"):
        probe.decide("require")
    assert probe.decide("require", ("rpc",)) == {"rpc"}
    caplog.set_level(logging.INFO, probe.logger.name)
    caplog.clear()
    assert probe.decide("auto") == {"rpc"}
    assert probe.decide("off") == frozenset()
    auto, off = [record.getMessage() for record in caplog.records]
    assert auto.startswith("Serve bypass: in use: rpc; not: middleware: the application is served at /v2")
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert off == "Serve bypass: in use: none; not: rpc: serve_bypass is off; middleware: serve_bypass is off"


def test_in_use_is_what_really_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    monkeypatch.setattr(BypassMiddleware, "servers", 0)
    monkeypatch.setattr(BypassMiddleware, "application", app)
    assert not probe.in_use("middleware")
    BypassMiddleware(app)
    assert probe.in_use("middleware")
    monkeypatch.setattr(BypassMiddleware, "application", None)
    assert not probe.in_use("middleware")

    class Replica:
        is_connected = False

    one, other = Replica(), Replica()
    monkeypatch.setattr(probe, "rpc_replicas", {one, other})
    assert not probe.in_use("rpc")
    other.is_connected = True
    assert probe.in_use("rpc")


# Modules that can't be imported, names that their module has no more, and what the reason says.
LACKING: list[tuple[list[str], list[str], str]] = [
    (["ray.serve._private.replica_result"], [], "ray.serve._private.replica_result"),
    (["ray._private.worker", "ray._private.auto_init_hook"], [], "worker"),
    (["ray.serve._private.common"], [], "ray.serve._private.common"),
    ([], ["ReplicaQueueLengthInfo"], "ReplicaQueueLengthInfo"),
    ([], ["RequestProtocol"], "RequestProtocol"),
]
# Ray itself is there, and changes in a child of its own for each case.
WITHOUT = """
    import os, sys, warnings
    warnings.simplefilter("ignore")
    import ray.serve, ray.serve.request_router, ray.data, ray._private.auto_init_hook
    import ray.serve._private.common as common
    import app.api, app.corpus.model, app.corpus.run, app.encoders, app.images.reader

    def check(modules, names):
        for name in modules:
            parent, _, child = name.rpartition(".")
            vars(sys.modules[parent]).pop(child)
            sys.modules[name] = None  # an import of it raises ImportError
        for name in names:
            delattr(common, name)
        import app.main
        import deployments.client_headers, deployments.clip, deployments.corpus, deployments.ingress, deployments.local
        import deployments.metrics, deployments.similarity, deployments.text_encoder
        from deployments.serve_internals import probe, ray_data, router

        ray_data.forbid_auto_connect()
        assert len(deployments.client_headers.middlewares()) == 2
        assert probe.decide("auto") == frozenset()
        print(probe.why_not("rpc"), flush=True)

    for modules, names, _ in {lacking!r}:
        if (child := os.fork()) == 0:
            try:
                check(modules, names)
            except BaseException as error:
                print("FAILED", repr(error), flush=True)
            os._exit(0)
        os.waitpid(child, 0)
"""


def test_a_ray_without_a_private_part_is_imported_and_used_by_its_own_way() -> None:
    program = textwrap.dedent(WITHOUT).format(lacking=LACKING)
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    said = result.stdout.splitlines()
    assert [reason for line, (_, _, reason) in zip(said, LACKING, strict=True) if reason not in line] == []
    assert "FAILED" not in result.stdout


def test_serves_own_classes_take_the_calls() -> None:
    manager, semaphore = object.__new__(serve_replica.ReplicaMetricsManager), Semaphore(lambda: 1)
    real = SimpleNamespace(_metrics_manager=manager, _semaphore=semaphore)
    for path, positional, keywords in CALLS:
        probe.check_call(attrgetter(path)(real), *range(positional), **dict.fromkeys(keywords))


async def test_the_accounting_makes_the_calls_that_are_checked() -> None:
    """Every call of `ReplicaAccounting` stands in `CALLS`, with its arguments."""
    made: set[tuple[str, int, tuple[str, ...]]] = set()

    def spy(path: str, result: Any = None) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            made.add((path, len(args), tuple(kwargs)))
            return result

        return call

    async def nothing() -> None: ...

    parts: dict[str, dict[str, Any]] = {}
    for path, _, _ in CALLS:
        part, name = path.split(".")
        parts.setdefault(part, {})[name] = spy(path, nothing() if name == "acquire" else None)
    fake = SimpleNamespace(
        _deployment_id=DeploymentID("Ingress", "app"),
        **{part: SimpleNamespace(**calls) for part, calls in parts.items()},
    )
    accounting = ReplicaAccounting(fake)
    assert not accounting.is_full
    await accounting.enter()
    accounting.leave()
    accounting.called(accounting.began(), error=False)
    accounting.ended(accounting.began(), "GET", "/", 200)
    assert made == set(CALLS)
