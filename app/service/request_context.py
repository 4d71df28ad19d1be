"""Who a request is made for, known to everything that it does. No HTTP.

A context variable, not a parameter: a route that forgot to hand the tenant on would mix two tenants' cache entries
without anybody noticing. Tasks begun for a request inherit it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from app.cache.entry import tokens_of
from app.errors import ServiceError


@dataclass(slots=True, eq=False)
class RequestContext:
    """`cache_scope` sets its cache entries apart from others'; `tokens` is what it has used, where `counted`."""

    cache_scope: str = ""
    counted: bool = False
    tokens: int = 0

    def count(self, entries: Sequence[bytes | ServiceError]) -> None:
        if self.counted:
            self.tokens += tokens_of(entries)


ANYBODY = RequestContext()
_current: ContextVar[RequestContext] = ContextVar("caller", default=ANYBODY)


def current() -> RequestContext:
    return _current.get()


@contextmanager
def acting(caller: RequestContext) -> Iterator[None]:
    """Within, `current` is `caller`."""
    token = _current.set(caller)
    try:
        yield
    finally:
        _current.reset(token)
