"""Content negotiation: matches the `Accept` header with the types that a route offers (RFC 9110, 12.5.1)."""

from collections.abc import Iterator, Sequence
from typing import Final

from starlette.requests import Request

from app.errors import NotAcceptable

JSON: Final = "application/json"
OCTETS: Final = "application/octet-stream"
NPY: Final = "application/x-npy"
VECTORS: Final = (JSON, OCTETS, NPY)


def negotiate(request: Request) -> str:
    """The type of `VECTORS` that the client prefers; the first one if it has no preference. Raises NotAcceptable.

    With equal weights, an exact type takes precedence over a wildcard, then the type that is listed first.
    """
    header = ",".join(request.headers.getlist("accept"))
    ranges = list(_ranges(header))
    if not ranges:
        return JSON
    best, weight = max(((type_, _weight(type_, ranges)) for type_ in VECTORS), key=lambda one: one[1])
    if weight[0] <= 0:
        raise NotAcceptable(f"This route returns {', '.join(VECTORS)}, but `Accept` is {header[:80]}.", "accept")
    return best


def _ranges(header: str) -> Iterator[tuple[str, float]]:
    """Media ranges and their weights, in order; ranges with an invalid weight are ignored."""
    for part in header.split(","):
        name, *parameters = (one.strip().lower() for one in part.split(";"))
        values = [value for key, _, value in (one.partition("=") for one in parameters) if key.strip() == "q"]
        try:
            weight = float(values[0]) if values else 1.0
        except ValueError:
            continue
        if name and 0 <= weight <= 1:
            yield name, weight


def _weight(type_: str, ranges: Sequence[tuple[str, float]]) -> tuple[float, int, int]:
    """(weight, exactness, earliness) of the most exact range that matches the type."""
    patterns = ("*/*", f"{type_.partition('/')[0]}/*", type_)
    found = [(patterns.index(name), -place, q) for place, (name, q) in enumerate(ranges) if name in patterns]
    if not found:
        return 0.0, 0, 0
    exactness, earliness, q = max(found)
    return q, exactness, earliness
