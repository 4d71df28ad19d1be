"""The short form of `make faults`, and what it must notice: a killer that is off, retries that are off."""

import asyncio
from collections.abc import Iterator
from itertools import count

import httpx
import pytest

from loadtests.faults import cache_actor, encoder, overload
from loadtests.faults.asking import Bare
from loadtests.faults.oracle import Asked, Book, book
from loadtests.faults.row import Row
from loadtests.faults.service import faulty
from loadtests.running import RunningService

CLIENTS, MEASURED_S, LOAD_S = 4, 4.0, 15.0
NO_RETRIES = {"share": 0, "per_s": 0, "burst": 0}


def problems(row: Row) -> list[str]:
    """Without those of how fast this machine is: `make faults` judges them, where it has the machine for itself."""
    return [words for words in row.problems if "schedule" not in words and "recovery took" not in words]


@pytest.fixture(scope="module")
def known() -> Book:
    return book(256, 20)


@pytest.fixture(scope="module")
def two_encoders() -> Iterator[RunningService]:
    with faulty() as service:
        yield service


def a_third(service: RunningService, known: Book, texts: int) -> float:
    """Requests of 1 to `texts` texts a second, of which this machine could do three times as many just now."""
    # Not those that are sent afterwards.
    numbers = count(50_000)

    def pick(_: int) -> Asked:
        number = next(numbers)
        return known.in_turn(number, 1 + number % texts, texts)

    answered = asyncio.run(overload.closed_loop(Bare([service.port], known, pick), CLIENTS, MEASURED_S))
    return answered / MEASURED_S / 3


def test_encoders_are_killed_and_no_request_fails(two_encoders: RunningService, known: Book) -> None:
    rate = min(20.0, a_third(two_encoders, known, 16))
    requests = round(LOAD_S * rate)
    row = encoder.run(two_encoders, known, requests, kills=2, rate=rate, every_s=2.0, texts=16)
    assert problems(row) == []
    assert row.injected == 2
    assert row.requests >= requests


def test_a_killer_that_is_off_fails_the_run(two_encoders: RunningService, known: Book) -> None:
    # The texts are those of the run before.
    assert httpx.post(f"{two_encoders.url}/cache/clear").status_code == 200
    rate = min(30.0, a_third(two_encoders, known, encoder.MOST_TEXTS))
    row = encoder.run(two_encoders, known, requests=30, kills=1, rate=rate, every_s=1.0, is_off=True)
    assert problems(row) == ["only 0 of 1 faults were injected"]
    assert row.requests >= 30


def test_the_cache_is_killed_and_comes_back(two_encoders: RunningService, known: Book) -> None:
    row = cache_actor.run(two_encoders, known, kills=2, rate=30.0)
    assert problems(row) == []
    assert row.injected == 2


def test_ten_times_too_much_is_refused_and_the_rest_is_served(two_encoders: RunningService, known: Book) -> None:
    """What depends on the machine, goodput and milliseconds, is `make faults`'s to judge."""
    row = overload.run(two_encoders, known, seconds=10.0, peak_s=4.0)
    assert (row.failed, row.wrong) == (0, 0)
    assert [words for words in problems(row) if "health" in words or "refused" in words or "memory" in words] == []


def test_without_retries_a_killed_encoder_is_noticed(known: Book) -> None:
    with faulty(retries=NO_RETRIES) as service:
        row = encoder.run(service, known, requests=300, kills=4, rate=20.0, every_s=1.0, texts=24)
    assert row.injected == 4
    assert row.failed > 0
    assert f"{row.failed} requests failed: {row.codes}" in problems(row)
