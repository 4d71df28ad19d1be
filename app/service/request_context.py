"""The tenant of a request, in a context variable that all code and tasks of the request can read.

It is not a parameter, because a route that forgot to pass it would silently mix the cache entries of two tenants.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from app.cache.entry import tokens_of
from app.errors import ServiceError


@dataclass(slots=True, eq=False)
class RequestContext:
    """`cache_scope`: separates the tenant's cache entries. `tokens`: tokens used so far, if `counted`."""

    cache_scope: str = ""
    counted: bool = False
    tokens: int = 0

    def count_tokens(self, entries: Sequence[bytes | ServiceError]) -> None:
        if self.counted:
            self.tokens += tokens_of(entries)


ANONYMOUS = RequestContext()
_current: ContextVar[RequestContext] = ContextVar("request_context", default=ANONYMOUS)


def current() -> RequestContext:
    return _current.get()


@contextmanager
def use(context: RequestContext) -> Iterator[None]:
    """Make `context` the current one inside the `with` block."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)
