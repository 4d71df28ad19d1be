"""Spans written by OpenTelemetry's SDK and sent by OTLP over HTTP. The only module that imports OpenTelemetry."""

from collections.abc import Sequence
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode

from app.config.args import TracingArgs
from app.telemetry import tracing
from app.telemetry.tracing import Value

TIMEOUT_S = 5
_KINDS: Final = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT, "internal": SpanKind.INTERNAL}


class OtlpSpan:
    """A span that is recorded."""

    __slots__ = ("_span", "traceparent")

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        context = span.get_span_context()
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def set(self, **values: Value) -> None:
        for name, value in values.items():
            # Names with a dot are OpenTelemetry's own conventions.
            self._span.set_attribute(name if "." in name else f"embedding.{name}", value)

    def link(self, traceparent: str) -> None:
        self._span.add_link(_position(traceparent))

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def fail(self, message: str) -> None:
        self._span.set_status(Status(StatusCode.ERROR, message))

    def end(self) -> None:
        self._span.end()


class OtlpTracer:
    """Sends from a thread of its own, in batches; what its queue can't hold while the collector is away is lost. A
    request that says whether it is traced is obeyed; of the others the share `args.sample` is."""

    def __init__(self, args: TracingArgs, part: str, replica: str) -> None:
        names = {"service.name": args.service_name, "service.instance.id": replica, "ray.serve.deployment": part}
        endpoint = f"{(args.endpoint or '').rstrip('/')}/v1/traces"
        exporter = OTLPSpanExporter(endpoint=endpoint, headers=args.headers, timeout=TIMEOUT_S)
        sampler = ParentBased(TraceIdRatioBased(args.sample))
        # Our own shutdown, with the replica's; one at the exit of a killed process would only delay it.
        self._provider = TracerProvider(sampler=sampler, resource=Resource.create(names), shutdown_on_exit=False)
        processor = BatchSpanProcessor(exporter, schedule_delay_millis=args.delay_s * 1e3)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("ray-embedding-service")

    def begin(
        self,
        name: str,
        kind: tracing.SpanKind,
        parent: str | None,
        links: Sequence[str] = (),
        started_ns: int | None = None,
    ) -> OtlpSpan | None:
        # Never None: what other libraries hold for current is not our parent.
        context = trace.set_span_in_context(trace.NonRecordingSpan(_position(parent))) if parent else Context()
        span = self._tracer.start_span(
            name, context, _KINDS[kind], links=[trace.Link(_position(link)) for link in links], start_time=started_ns
        )
        return OtlpSpan(span) if span.is_recording() else None

    def close(self) -> None:
        self._provider.force_flush(TIMEOUT_S * 1000)
        self._provider.shutdown()


def start(args: TracingArgs, part: str, replica: str) -> None:
    """From now on this process makes spans and sends them to `args.endpoint`. `part`: the deployment."""
    if tracing.tracer() is None:
        tracing.use(OtlpTracer(args, part, replica))


def _position(traceparent: str) -> SpanContext:
    _, trace_id, span_id, flags = traceparent.split("-")
    trace_flags = trace.TraceFlags(int(flags, 16))
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=trace_flags)
