"""Spans on their way through the service, with a tracer that one can read; and the real one's way to a collector."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from app.config.args import TracingArgs
from app.config.settings import AppArgs
from app.inference.batch_queue import Job, Slice
from app.inference.spans import EncoderSpans
from app.telemetry import tracing
from app.telemetry.otlp import OtlpTracer
from app.telemetry.tracing import SpanKind, Value
from tests.support.calling import Service
from tests.support.otlp_collector import collecting
from tests.support.service_fakes import FakeEncoder

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@dataclass
class NotedSpan:
    name: str
    traceparent: str
    parent: str | None
    links: list[str]
    values: dict[str, Value] = field(default_factory=dict)
    failure: str | None = None
    ended: int = 0

    def set(self, **values: Value) -> None:
        self.values |= values

    def link(self, traceparent: str) -> None:
        self.links.append(traceparent)

    def rename(self, name: str) -> None:
        self.name = name

    def fail(self, message: str) -> None:
        self.failure = message

    def end(self) -> None:
        self.ended += 1


@dataclass
class NotedTracer:
    """Every span that was begun, in order; a new trace is numbered."""

    spans: list[NotedSpan] = field(default_factory=list)

    def begin(
        self, name: str, kind: SpanKind, parent: str | None, links: Sequence[str] = (), started_ns: int | None = None
    ) -> NotedSpan:
        number = len(self.spans) + 1
        trace = parent.split("-")[1] if parent else f"{number:032x}"
        self.spans.append(NotedSpan(name, f"00-{trace}-{number:016x}-01", parent, list(links)))
        return self.spans[-1]

    def close(self) -> None:
        pass


@pytest.fixture
def tracer() -> Iterator[NotedTracer]:
    noted = NotedTracer()
    before = tracing.use(noted)
    yield noted
    tracing.use(before)


def test_a_request_s_trace_goes_on_and_is_named_by_its_route(tracer: NotedTracer) -> None:
    answer = Service().post("/embed/text", json={"texts": ["a b", "c"]}, headers={"traceparent": PARENT})
    request, cache = tracer.spans
    assert (request.name, request.parent, request.ended) == ("POST /embed/text", PARENT, 1)
    assert (request.values["http.response.status_code"], request.values["items"], request.values["tokens"]) == (
        200,
        2,
        3,
    )
    assert request.values["request_id"] == answer.headers["x-request-id"]
    assert (cache.name, cache.parent, cache.ended) == ("cache", request.traceparent, 1)
    assert cache.values == {"items": 2, "hits": 0}
    assert answer.headers["traceparent"] == request.traceparent
    assert tracing.current() is None


@pytest.mark.parametrize("wrong", ["00-" + "0" * 32 + "-00f067aa0ba902b7-01", "nonsense", PARENT + "\u00e9"])
def test_a_wrong_traceparent_begins_a_new_trace(tracer: NotedTracer, wrong: str) -> None:
    headers = {"traceparent": wrong.encode("latin-1")}
    Service().post("/embed/text", json={"texts": ["a"]}, headers=headers)
    assert tracer.spans[0].parent is None


def test_a_failed_request_says_why(tracer: NotedTracer) -> None:
    encoder = FakeEncoder()
    encoder.faults["a"] = RuntimeError("secret words")
    service = Service(encoder)
    assert service.post("/embed/text", json={"texts": ["a"]}).status_code == 503
    assert service.post("/embed/text", json={"texts": []}).status_code == 400
    failed, _, refused = tracer.spans
    assert (failed.failure, failed.ended) == ("model_unavailable", 1)
    assert (refused.failure, refused.values["error.type"], refused.ended) == (None, "invalid_request", 1)


def test_probes_and_scrapes_are_not_traced(tracer: NotedTracer) -> None:
    for path in ("/livez", "/readyz", "/health", "/metrics"):
        Service().get(path)
    assert tracer.spans == []


def test_items_of_many_requests_travel_and_are_told_apart(tracer: NotedTracer) -> None:
    one, two = (tracer.begin(name, "server", None) for name in "ab")
    with tracing.within(one):
        first = tracing.carrying(["a", "b"])
    with tracing.within(two):
        second = tracing.carrying(["c"])
    assert tracing.carried([*first, "plain", *second]) == (
        ["a", "b", "plain", "c"],
        [(one.traceparent, 2), ("", 1), (two.traceparent, 1)],
    )
    assert tracing.carried(["a", "b"]) == (["a", "b"], None)


def test_nothing_is_touched_while_traces_are_off() -> None:
    items = ["a", "b"]
    assert tracing.tracer() is None
    assert tracing.carrying(items) is items
    plain, origins = tracing.carried(items)
    assert plain is items
    assert origins is None
    assert tracing.child("cache") is None


def test_a_run_of_the_model_is_linked_to_each_of_its_requests(tracer: NotedTracer) -> None:
    ours = [tracer.begin(name, "server", None).traceparent for name in "abc"]
    spans = EncoderSpans("m")
    one, two = Job([1, 1, 1]), Job([1, 1])
    with spans.call(one, [(ours[0], 2), ("", 1)], 1.0), spans.call(two, [(ours[1], 1), (ours[2], 1)], 1.0):
        with spans.batch([Slice(one, [0, 1, 2]), Slice(two, [1])]):
            pass
        with spans.batch([Slice(two, [0])]):
            pass
    encoders = [span for span in tracer.spans if span.name == "encoder"]
    first, second = (span for span in tracer.spans if span.name == "batch")
    assert [span.parent for span in encoders] == ours
    assert [span.values["items"] for span in encoders] == [2, 1, 1]
    a, b, c = (span.traceparent for span in encoders)
    assert (first.parent, first.links, first.values["items"], first.values["requests"]) == (a, [a, c], 4, 2)
    assert (second.parent, second.links) == (b, [b])
    assert [span.links for span in encoders] == [[first.traceparent], [second.traceparent], [first.traceparent]]
    assert all(span.ended == 1 for span in (*encoders, first, second))


def test_a_call_that_fails_ends_its_spans_and_is_forgotten(tracer: NotedTracer) -> None:
    spans, job = EncoderSpans("m"), Job([1])
    with pytest.raises(ValueError, match="no"), spans.call(job, [(PARENT, 1)], 0.0), spans.batch([Slice(job, [0])]):
        raise ValueError("no")
    assert [(span.name, span.failure, span.ended) for span in tracer.spans] == [
        ("encoder", "ValueError", 1),
        ("batch", "ValueError", 1),
    ]
    with spans.batch([Slice(job, [0])]):
        pass
    assert len(tracer.spans) == 2


async def test_a_request_that_joins_another_s_flight_names_it(tracer: NotedTracer) -> None:
    encoder = FakeEncoder()
    encoder.held = True
    service = Service(encoder).embeddings

    async def embed(span: NotedSpan) -> None:
        with tracing.within(span):
            await service.embed_texts(["a"])

    spans = [tracer.begin(name, "server", None) for name in "ab"]
    tasks = [asyncio.create_task(embed(span)) for span in spans]
    for _ in range(20):  # both have asked by then
        await asyncio.sleep(0)
    encoder.origin = spans[0].traceparent
    encoder.answer()
    await asyncio.gather(*tasks)
    assert encoder.calls == [["a"]]
    assert [span.links for span in spans] == [[], [spans[0].traceparent]]


def test_the_collector_gets_what_was_sampled() -> None:
    with collecting() as collector:
        args = TracingArgs(endpoint=collector.endpoint, headers={"x-key": "k"}, sample=0, service_name="ours")
        tracer = OtlpTracer(args, "Ingress", "r1")
        assert tracer.begin("unasked", "server", None) is None
        assert tracer.begin("refused", "server", PARENT[:-2] + "00") is None
        span = tracer.begin("asked", "server", PARENT)
        assert span is not None
        inner = tracer.begin("inner", "internal", span.traceparent, [PARENT])
        assert inner is not None
        inner.set(items=3)
        inner.end()
        span.end()
        tracer.close()
    inner_, asked = collector.spans
    assert (asked.name, asked.trace, asked.parent) == ("asked", TRACE, "00f067aa0ba902b7")
    assert (inner_.trace, inner_.parent, inner_.links) == (TRACE, asked.id, frozenset({(TRACE, "00f067aa0ba902b7")}))
    assert inner_.values == {"embedding.items": 3}
    assert asked.resource["service.name"] == "ours"
    assert asked.resource["ray.serve.deployment"] == "Ingress"
    assert collector.headers[0]["x-key"] == "k"


def test_without_an_endpoint_nothing_is_imported() -> None:
    words = (
        "import sys; import app.service.embedding_service, app.api, app.inference.spans;"
        "print([m for m in sys.modules if m.startswith('opentelemetry')]);"
        "from app.telemetry import tracing; from deployments.telemetry import begin_traces;"
        "begin_traces(tracing.OFF); print(tracing.tracer(), 'app.telemetry.otlp' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["[]", "None False"]


def test_settings_are_opentelemetry_s_own_variables() -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%20b, other=c",
        "OTEL_TRACES_SAMPLER_ARG": "0.25",
        "OTEL_SERVICE_NAME": "search",
    }
    args = AppArgs().with_environment(environ).tracing
    assert (args.endpoint, args.sample, args.service_name) == ("http://collector:4318", 0.25, "search")
    assert args.headers == {"x-key": "a b", "other": "c"}
    assert "a b" not in repr(args)
    assert AppArgs().with_environment(environ | {"OTEL_SDK_DISABLED": "true"}).tracing.endpoint is None
    with pytest.raises(ValueError, match=r"tracing\.endpoint"):
        AppArgs().with_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"})
