"""A real service that sends its traces to a collector of ours."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from loadtests.running import running, wait_for, write_config
from tests.support.otlp_collector import Collector, Received, collecting

REQUESTS = 12


def spans_of(collector: Collector, trace: str, name: str) -> list[Received]:
    return [span for span in collector.of_trace(trace) if span.name == name]


@pytest.mark.cluster
def test_one_trace_per_request_from_ingress_to_batch(tmp_path: Path) -> None:
    traces = [uuid.uuid4().hex for _ in range(REQUESTS)]
    with collecting() as collector:
        config = write_config(tmp_path, image_models=[], tracing={"delay_s": 0.2})
        team = "x-team=search"
        endpoint = collector.endpoint
        with running(config, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_EXPORTER_OTLP_HEADERS=team) as service:

            def ask(trace: str) -> httpx.Response:
                headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
                texts = [f"{trace} {i}" for i in range(3)]
                return httpx.post(f"{service.url}/embed/text", json={"texts": texts}, headers=headers, timeout=30)

            with ThreadPoolExecutor(REQUESTS + 1) as pool:
                # While the model is busy with these, the others come together behind them.
                many = {"texts": [f"{uuid.uuid4()} {'word ' * 100}" for _ in range(300)]}
                busy = pool.submit(httpx.post, f"{service.url}/embed/text", json=many, timeout=60)
                answers = list(pool.map(ask, traces))
                assert busy.result().status_code == 200
            assert [answer.status_code for answer in answers] == [200] * REQUESTS
            again = ask(traces[0])
            assert again.json()["cached"]
            unsampled = uuid.uuid4().hex
            headers = {"traceparent": f"00-{unsampled}-00f067aa0ba902b7-00"}
            httpx.post(f"{service.url}/embed/text", json={"texts": ["x"]}, headers=headers, timeout=30)
            newly = httpx.post(f"{service.url}/embed/text", json={"texts": ["y"]}, timeout=30)
        # The service has ended, and sent all it had.
        for trace, answer in zip(traces, answers, strict=True):
            [ingress, *_] = sorted(spans_of(collector, trace, "POST /embed/text"), key=lambda span: span.began_ns)
            assert answer.headers["traceparent"] == f"00-{trace}-{ingress.id}-01"
            assert ingress.parent == "00f067aa0ba902b7"
            assert ingress.values["embedding.request_id"] == answer.headers["x-request-id"]
            assert ingress.values["http.response.status_code"] == 200
            assert ingress.resource["ray.serve.deployment"] == "Ingress"
            assert ingress.id in {span.parent for span in spans_of(collector, trace, "cache")}
            encoders = spans_of(collector, trace, "encoder")
            assert encoders
            assert {span.parent for span in encoders} == {ingress.id}
            assert sum(span.values["embedding.items"] for span in encoders) == 3
            assert {span.resource["ray.serve.deployment"] for span in encoders} == {"TextEncoder-all-MiniLM-L6-v2"}
            assert all(ingress.began_ns < s.began_ns <= s.ended_ns < ingress.ended_ns for s in encoders)

        batches = [span for span in collector.spans if span.name == "batch"]
        encoders = [span for span in collector.spans if span.name == "encoder"]
        by_id = {(span.trace, span.id): span for span in encoders}
        for batch in batches:
            assert batch.parent in {span.id for span in encoders if span.trace == batch.trace}
            assert len(batch.links) == batch.values["embedding.requests"]
            assert all((batch.trace, batch.id) in by_id[link].links for link in batch.links)
        # Every encoder's span is in a run, and so is every item.
        assert {link for batch in batches for link in batch.links} == set(by_id)
        assert sum(batch.values["embedding.items"] for batch in batches) >= 3 * REQUESTS + 1
        assert max(len(batch.links) for batch in batches) > 1, "requests that came together ran together"

        # The answer from the cache ends at the cache.
        assert len(spans_of(collector, traces[0], "POST /embed/text")) == 2
        hits = [span.values["embedding.hits"] for span in spans_of(collector, traces[0], "cache")]
        assert sorted(hits) == [0, 3]
        assert collector.of_trace(unsampled) == []
        assert spans_of(collector, newly.headers["traceparent"].split("-")[1], "encoder")
        assert {headers["x-team"] for headers in collector.headers} == {"search"}


@pytest.mark.cluster
def test_a_collector_that_is_away_harms_nobody(tmp_path: Path) -> None:
    with running(
        write_config(tmp_path, image_models=[], tracing={"delay_s": 0.2}),
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
    ) as service:
        for i in range(3):
            answer = httpx.post(f"{service.url}/embed/text", json={"texts": [f"t {i}"]}, timeout=30)
            assert answer.status_code == 200
        assert service.stop() <= 10
        wait_for(lambda: not service.processes(), what="the end of every process")
