"""The spans of a real service, at a collector of ours; and the end of a service whose collector is away."""

import signal
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from loadtests.running import listening, wait_for
from tests.support import web
from tests.support.ending import leaves_nothing
from tests.support.holding import all_wait, held
from tests.support.locked import Locked
from tests.support.otlp_collector import Collector, Received

REQUESTS = 12


def spans_of(collector: Collector, trace: str, name: str) -> list[Received]:
    return [span for span in collector.of_trace(trace) if span.name == name]


def test_one_trace_per_request_from_ingress_to_batch(locked: Locked) -> None:
    collector, url, key = locked.collector, locked.service.url, locked.bearer("traced")
    traces = [uuid.uuid4().hex for _ in range(REQUESTS)]

    def ask(trace: str, sampled: str = "01") -> httpx.Response:
        headers = key | {"traceparent": f"00-{trace}-00f067aa0ba902b7-{sampled}"}
        texts = [f"{trace} {i}" for i in range(3)]
        return web.post(f"{url}/embed/text", json={"texts": texts}, headers=headers, timeout=300)

    with ThreadPoolExecutor(REQUESTS) as pool:
        # While the model is busy, they come together behind the first.
        with held(locked.service.named("TextEncoder")):
            asked = pool.map(ask, traces)
            all_wait(locked.service, REQUESTS, key)
        answers = list(asked)
    assert [answer.status_code for answer in answers] == [200] * REQUESTS
    assert ask(traces[0]).json()["cached"]
    unsampled = uuid.uuid4().hex
    ask(unsampled, "00")
    newly = web.post(f"{url}/embed/text", json={"texts": [uuid.uuid4().hex]}, headers=key, timeout=300)
    last = newly.headers["traceparent"].split("-")[1]

    def items(trace: str) -> int:
        return sum(span.values["embedding.items"] for span in spans_of(collector, trace, "encoder"))

    def ours() -> list[Received]:
        """Runs of the model that our requests were in."""
        batches = [span for span in [*collector.spans] if span.name == "batch"]
        return [batch for batch in batches if {trace for trace, _ in batch.links} & {*traces, last}]

    def by_id() -> dict[tuple[str, str], Received]:
        return {(span.trace, span.id): span for span in [*collector.spans] if span.name == "encoder"}

    def all_told() -> bool:
        encoders = {(span.trace, span.id) for trace in traces for span in spans_of(collector, trace, "encoder")}
        links = {link for batch in ours() for link in batch.links}
        return (
            [items(trace) for trace in [*traces, last]] == [3] * REQUESTS + [1]
            and len(spans_of(collector, traces[0], "POST /embed/text")) == 2
            and all(spans_of(collector, trace, "POST /embed/text") for trace in [*traces, last])
            and encoders <= links <= by_id().keys()
            and {(batch.trace, batch.parent) for batch in ours()} <= by_id().keys()
        )

    wait_for(all_told, what=lambda: f"every span of {traces}; there are {len(collector.spans)}")
    for trace, answer in zip(traces, answers, strict=True):
        [ingress, *_] = sorted(spans_of(collector, trace, "POST /embed/text"), key=lambda span: span.began_ns)
        assert answer.headers["traceparent"] == f"00-{trace}-{ingress.id}-01"
        assert ingress.parent == "00f067aa0ba902b7"
        assert ingress.values["embedding.request_id"] == answer.headers["x-request-id"]
        assert ingress.values["http.response.status_code"] == 200
        assert ingress.resource["ray.serve.deployment"] == "Ingress"
        assert ingress.id in {span.parent for span in spans_of(collector, trace, "cache")}
        encoders = spans_of(collector, trace, "encoder")
        assert {span.parent for span in encoders} == {ingress.id}
        assert {span.resource["ray.serve.deployment"] for span in encoders} == {"TextEncoder-all-MiniLM-L6-v2"}
        assert all(ingress.began_ns < s.began_ns <= s.ended_ns < ingress.ended_ns for s in encoders)

    encoder_spans, batches = by_id(), ours()
    for batch in batches:
        assert len(batch.links) == batch.values["embedding.requests"]
        assert all((batch.trace, batch.id) in encoder_spans[link].links for link in batch.links)
    assert sum(batch.values["embedding.items"] for batch in batches) >= 3 * REQUESTS + 1
    assert max(len(batch.links) for batch in batches) > 1, "requests that came together ran together"

    # The answer from the cache ends at the cache.
    hits = [span.values["embedding.hits"] for span in spans_of(collector, traces[0], "cache")]
    assert sorted(hits) == [0, 3]
    assert collector.of_trace(unsampled) == []
    assert {headers["x-team"] for headers in collector.headers} == {"search"}


@pytest.mark.last
def test_a_collector_that_is_away_harms_nobody_and_sigterm_ends_everything(locked: Locked) -> None:
    locked.collector.close()
    for i in range(3):
        texts = {"texts": [f"{uuid.uuid4()} {i}"]}
        answer = web.post(f"{locked.service.url}/embed/text", json=texts, headers=locked.bearer("all"), timeout=300)
        assert answer.status_code == 200
    open_ports = listening(locked.service.processes())
    locked.service.stop(signal.SIGTERM)
    leaves_nothing(locked.service, open_ports)
    assert locked.service.process.returncode == 0
