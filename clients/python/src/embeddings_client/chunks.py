"""Splits a list of items into requests of limited size."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Chunking:
    """The maximum size of one request. The defaults are below the service's own limits on purpose: several smaller
    requests finish sooner than one that uses all of its deadline, and they show progress.

    Args:
        texts: Texts per request; the service allows 2,048.
        images: Images per request; the service allows 32.
        text_bytes: Bytes of a body with texts; the service allows 16 MiB.
        image_bytes: Bytes of a body with images; the service allows 64 MiB.
        candidates: Candidates of a search; the service allows 10,000.
        vector_elements: Numbers in a similarity request; the service allows 4 million.
    """

    texts: int = 256
    images: int = 16
    text_bytes: int = 8 * 2**20
    image_bytes: int = 32 * 2**20
    candidates: int = 1000
    vector_elements: int = 4_000_000

    def __post_init__(self) -> None:
        if min(getattr(self, name) for name in self.__slots__) < 1:
            raise ValueError("every limit of a request must be 1 or more")


@dataclass(frozen=True, slots=True)
class Sized(Generic[T]):
    """An item and its size in a request."""

    value: T
    bytes: int
    images: int = 0


@dataclass(frozen=True, slots=True)
class Chunk(Generic[T]):
    """Consecutive items for one request; `start`: index of the first one among all items."""

    start: int
    items: Sequence[T]

    def halves(self) -> "tuple[Chunk[T], Chunk[T]]":
        middle = len(self.items) // 2
        return Chunk(self.start, self.items[:middle]), Chunk(self.start + middle, self.items[middle:])


def chunks(
    items: Iterable[Sized[T]], *, max_items: int, max_bytes: int, max_images: int | None = None
) -> Iterator[Chunk[T]]:
    """Group items lazily, in order. An item above the limit gets a request of its own; the service will reject it."""
    start = size = images = 0
    chunk: list[T] = []
    for item in items:
        full = len(chunk) == max_items or size + item.bytes > max_bytes
        if chunk and (full or (max_images is not None and images + item.images > max_images)):
            yield Chunk(start, chunk)
            start, chunk, size, images = start + len(chunk), [], 0, 0
        chunk.append(item.value)
        size += item.bytes
        images += item.images
    if chunk:
        yield Chunk(start, chunk)
