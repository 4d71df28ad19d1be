"""Traces as the rest of the service knows them: spans by name, the current one, what carries them along. A position is
a W3C `traceparent`. No span is made, nor OpenTelemetry loaded, before `use` has got `app.telemetry.otlp`'s tracer."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from app.config.args import TracingArgs

T = TypeVar("T")

# Version 00 of the W3C's trace context; zero ids are none.
TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
OFF = TracingArgs()
SpanKind = Literal["server", "client", "internal"]
Value = str | int | float | bool


class Span(Protocol):
    """A piece of work; it is sent when it ends. Its value `items` goes out as `embedding.items`."""

    @property
    def traceparent(self) -> str: ...
    def set(self, **values: Value) -> None: ...
    def link(self, traceparent: str) -> None: ...
    def rename(self, name: str) -> None: ...
    def fail(self, message: str) -> None: ...
    def end(self) -> None: ...


class Tracer(Protocol):
    def begin(
        self, name: str, kind: SpanKind, parent: str | None, links: Sequence[str] = (), started_ns: int | None = None
    ) -> Span | None:
        """None when this trace was not chosen to be sent. `started_ns`: since the epoch; default now."""
        ...

    def close(self) -> None:
        """As `stop`."""


_tracer: Tracer | None = None
_current: ContextVar[Span | None] = ContextVar("span", default=None)


def stop() -> None:
    """Send what there is; blocks, for a few seconds at most."""
    if _tracer is not None:
        _tracer.close()


def tracer() -> Tracer | None:
    """This process's; None when traces are off."""
    return _tracer


def use(other: Tracer | None) -> Tracer | None:
    """Put `other` in this process's tracer's place; what was there."""
    global _tracer
    before, _tracer = _tracer, other
    return before


def current() -> Span | None:
    """The span that runs in this context; None when the request is not traced."""
    return _current.get()


@contextmanager
def within(span: Span) -> Iterator[None]:
    """Within, and in tasks begun there, `span` is the current one."""
    token = _current.set(span)
    try:
        yield
    finally:
        _current.reset(token)


def child(name: str, kind: SpanKind = "internal") -> Span | None:
    """A child of the current span; None when that is not traced."""
    parent = _current.get()
    if parent is None or _tracer is None:
        return None
    return _tracer.begin(name, kind, parent.traceparent)


@dataclass(frozen=True, slots=True)
class Traced(Generic[T]):
    """An item that remembers whose it is, while items of many requests travel together."""

    item: T
    traceparent: str


# Of a call's items, in order: a position and how many items in a row are its; "" for items of no trace.
Origins = list[tuple[str, int]]


def carrying(items: Sequence[T]) -> "Sequence[T | Traced[T]]":
    """The items, marked with the current span where there is one."""
    span = _current.get()
    return items if span is None else [Traced(item, span.traceparent) for item in items]


def carried(items: "Sequence[T | Traced[T]]") -> tuple[Sequence[T], Origins | None]:
    """The items as they were, and where they came from; None when traces are off or none of them is traced."""
    if _tracer is None:
        # No item is marked then.
        return items, None  # type: ignore[return-value]
    plain: list[T] = []
    origins: Origins = []
    for item in items:
        inner, position = (item.item, item.traceparent) if isinstance(item, Traced) else (item, "")
        plain.append(inner)
        if origins and origins[-1][0] == position:
            origins[-1] = (position, origins[-1][1] + 1)
        else:
            origins.append((position, 1))
    return plain, (origins if any(position for position, _ in origins) else None)
