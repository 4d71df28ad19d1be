"""Spans of an encoder: one per request in a call, one per run of the model. None where traces are off. A run serves
many requests. Its span belongs to the oldest one's trace; it and each request's span link to another."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

from app.inference.batch_queue import Job, Slice
from app.telemetry import tracing
from app.telemetry.tracing import Origins, Span


@dataclass(slots=True, eq=False)
class EncoderSpans:
    """Of one model."""

    model: str
    # Per input of a job, the span of the request that it belongs to.
    _of_inputs: dict[Job, list[Span | None]] = field(default_factory=dict)

    @contextmanager
    def call(self, job: Job, origins: Origins | None, prepare_ms: float) -> Iterator[None]:
        """Entered while a call's job runs: an `encoder` span for each of its requests, from the call's arrival."""
        tracer = tracing.tracer()
        if tracer is None or origins is None:
            yield
            return
        begin = partial(tracer.begin, "encoder", "server", started_ns=time.time_ns() - int(prepare_ms * 1e6))
        spans: dict[str, Span] = {}
        items: Counter[str] = Counter()
        for position, count in origins:
            if position and position not in items and (span := begin(position)):
                spans[position] = span
            items[position] += count
        self._of_inputs[job] = [*chain.from_iterable([spans.get(position)] * count for position, count in origins)]
        try:
            yield
        except BaseException as error:
            for span in spans.values():
                span.fail(type(error).__name__)
            raise
        finally:
            del self._of_inputs[job]
            for position, span in spans.items():
                span.set(model=self.model, items=items[position], prepare_ms=prepare_ms)
                span.end()

    @contextmanager
    def batch(self, slices: Sequence[Slice]) -> Iterator[None]:
        """Entered while the model runs these."""
        tracer = tracing.tracer()
        if tracer is None or not self._of_inputs:
            yield
            return
        known = [part for part in slices if part.job in self._of_inputs]
        found = [self._of_inputs[part.job][index] for part in known for index in part.indices]
        spans = {span.traceparent: span for span in found if span is not None}
        # The items of a failed batch run once more, each by itself, with spans of their own.
        links = list(spans)
        batch = tracer.begin("batch", "internal", links[0], links) if links else None
        if batch is None:
            yield
            return
        for span in spans.values():
            span.link(batch.traceparent)
        batch.set(model=self.model, items=sum(len(part.indices) for part in slices), requests=len(links))
        try:
            yield
        except BaseException as error:
            batch.fail(type(error).__name__)
            raise
        finally:
            batch.end()
