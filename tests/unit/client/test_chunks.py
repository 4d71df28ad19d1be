from collections.abc import Iterator

import pytest

from app.config.args import Limits
from embeddings_client.chunks import Chunk, Chunking, Sized, chunks


def cut(sizes: list[int], **limits: int) -> list[tuple[int, list[int]]]:
    """Items are their own places; sizes are bytes."""
    items = [Sized(place, size) for place, size in enumerate(sizes)]
    return [
        (chunk.start, list(chunk.items)) for chunk in chunks(items, **({"max_items": 100, "max_bytes": 100} | limits))
    ]


def test_chunks_by_item_count() -> None:
    assert cut([1] * 7, max_items=3) == [(0, [0, 1, 2]), (3, [3, 4, 5]), (6, [6])]
    assert cut([1] * 6, max_items=3) == [(0, [0, 1, 2]), (3, [3, 4, 5])]
    assert cut([]) == []


def test_chunks_by_bytes() -> None:
    assert cut([40, 60, 1, 99, 2], max_bytes=100) == [(0, [0, 1]), (2, [2, 3]), (4, [4])]


def test_oversized_item_gets_its_own_chunk() -> None:
    assert cut([1, 500, 1, 1], max_bytes=100) == [(0, [0]), (1, [1]), (2, [2, 3])]


def test_chunks_by_image_count() -> None:
    items = [Sized(i, 1, images=int(i % 2 == 0)) for i in range(7)]
    found = [list(chunk.items) for chunk in chunks(items, max_items=100, max_bytes=100, max_images=2)]
    assert found == [[0, 1, 2, 3], [4, 5, 6]]


def test_chunks_are_lazy() -> None:
    read = []

    def items() -> Iterator[Sized[int]]:
        for i in range(10):
            read.append(i)
            yield Sized(i, 1)

    next(chunks(items(), max_items=3, max_bytes=100))
    assert read == [0, 1, 2, 3]


def test_halves_keep_the_order() -> None:
    assert Chunk(10, [1, 2, 3, 4, 5]).halves() == (Chunk(10, [1, 2]), Chunk(12, [3, 4, 5]))


def test_defaults_are_within_what_the_service_takes() -> None:
    ours, theirs = Chunking(), Limits()
    assert ours.texts <= theirs.texts
    assert ours.images <= theirs.images
    assert ours.candidates <= theirs.search_candidates
    assert ours.vector_elements <= theirs.vector_elements
    # What stands around the items takes room too.
    assert ours.text_bytes < theirs.text_body
    assert ours.image_bytes < theirs.image_body


def test_limits_that_can_not_be() -> None:
    with pytest.raises(ValueError, match="1 or more"):
        Chunking(texts=0)
