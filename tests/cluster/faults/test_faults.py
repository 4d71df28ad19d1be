"""The short form of `make faults`. What it must notice is in tests/slow."""

import pytest

from loadtests.faults import cache_actor, encoder, overload
from loadtests.faults.oracle import Book, book
from loadtests.running import RunningService
from tests.support.pace import a_third, problems

LOAD_S = 6.0


@pytest.fixture(scope="module")
def known() -> Book:
    return book(256, 20)


def test_encoders_are_killed_and_no_request_fails(two_encoders: RunningService, known: Book) -> None:
    # Of both; while one is away it is a third of what the other one can do.
    rate = min(20.0, a_third(two_encoders, known, 16) / 2)
    requests = round(LOAD_S * rate)
    row = encoder.run(two_encoders, known, requests, kills=2, rate=rate, every_s=2.0, texts=16)
    assert problems(row) == []
    assert row.injected == 2
    assert row.requests >= requests


def test_the_cache_is_killed_and_comes_back(two_encoders: RunningService, known: Book) -> None:
    row = cache_actor.run(
        two_encoders, known, kills=2, rate=min(30.0, a_third(two_encoders, known, cache_actor.MOST_TEXTS))
    )
    assert problems(row) == []
    assert row.injected == 2


def test_ten_times_too_much_is_refused_and_the_rest_is_served(two_encoders: RunningService, known: Book) -> None:
    """What depends on the machine, goodput and milliseconds, is `make faults`'s to judge."""
    row = overload.run(two_encoders, known, seconds=2.0, peak_s=2.0, after_s=1.0)
    assert (row.failed, row.wrong) == (0, 0)
    assert [words for words in problems(row) if "health" in words or "refused" in words or "memory" in words] == []
