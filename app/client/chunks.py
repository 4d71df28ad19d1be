"""Cutting work into requests that the service takes. What is in them is the work's."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Chunking:
    """The most that one request of this client holds. Below the service's own limits on purpose: several smaller
    requests are answered sooner than one that takes all of its time, and progress shows.

    Args:
        texts: Texts; the service takes 2,048.
        images: Images; the service takes 32.
        text_bytes: Bytes of a body of texts; the service takes 16 MiB.
        image_bytes: Bytes of a body with images; the service takes 64 MiB.
        candidates: Candidates of a search; the service takes 10,000.
        vector_elements: Numbers of a similarity request; the service takes 4 million.
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
class Weighed(Generic[T]):
    """An item, and what it adds to a request."""

    value: T
    bytes: int
    images: int = 0


@dataclass(frozen=True, slots=True)
class Chunk(Generic[T]):
    """Consecutive items for one request; `start`: place of the first among all."""

    start: int
    items: Sequence[T]

    def halves(self) -> "tuple[Chunk[T], Chunk[T]]":
        middle = len(self.items) // 2
        return Chunk(self.start, self.items[:middle]), Chunk(self.start + middle, self.items[middle:])


def chunks(
    items: Iterable[Weighed[T]], *, most: int, most_bytes: int, most_images: int | None = None
) -> Iterator[Chunk[T]]:
    """All items in order, read as they are needed. One that is too much alone goes alone: the service says why."""
    start = size = images = 0
    held: list[T] = []
    for item in items:
        full = len(held) == most or size + item.bytes > most_bytes
        if held and (full or (most_images is not None and images + item.images > most_images)):
            yield Chunk(start, held)
            start, held, size, images = start + len(held), [], 0, 0
        held.append(item.value)
        size += item.bytes
        images += item.images
    if held:
        yield Chunk(start, held)
