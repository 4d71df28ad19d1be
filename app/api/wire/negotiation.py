"""Which form an answer is written in: the `Accept` header against what a route offers (RFC 9110, 12.5.1)."""

from collections.abc import Iterator, Sequence
from typing import Final

from starlette.requests import Request

from app.errors import NotAcceptable

JSON: Final = "application/json"
OCTETS: Final = "application/octet-stream"
NPY: Final = "application/x-npy"
VECTORS: Final = (JSON, OCTETS, NPY)


def wanted(request: Request, offered: Sequence[str] = VECTORS) -> str:
    """The offered type that the client likes best; the first one where it says nothing or has no preference.

    Of equal weights the type named exactly goes before a wildcard, then the one named first.

    Raises:
        NotAcceptable: None of them is.
    """
    header = ",".join(request.headers.getlist("accept"))
    ranges = list(_ranges(header))
    if not ranges:
        return offered[0]
    best, weight = max(((type_, _weight(type_, ranges)) for type_ in offered), key=lambda one: one[1])
    if weight[0] <= 0:
        raise NotAcceptable(f"This route answers with {', '.join(offered)}; `Accept` asks for {header[:80]}.", "accept")
    return best


def _ranges(header: str) -> Iterator[tuple[str, float]]:
    """Media ranges and their weights, in order; a range whose weight is no number does not count."""
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
    """(weight, exactness, earliness) by the most exact range that covers the type."""
    patterns = ("*/*", f"{type_.partition('/')[0]}/*", type_)
    found = [(patterns.index(name), -place, q) for place, (name, q) in enumerate(ranges) if name in patterns]
    if not found:
        return 0.0, 0, 0
    exactness, earliness, q = max(found)
    return q, exactness, earliness
