"""What the faults' harness must notice: a killer that is off, retries that are off."""

from collections.abc import Iterator

import pytest

from loadtests.faults import encoder
from loadtests.faults.oracle import Book, book
from loadtests.faults.service import faulty
from loadtests.running import RunningService
from tests.support.pace import a_third, problems

NO_RETRIES = {"share": 0, "per_s": 0, "burst": 0}


@pytest.fixture(scope="module")
def known() -> Book:
    return book(256, 20)


@pytest.fixture(scope="module")
def without_retries() -> Iterator[RunningService]:
    # What is refused would be no fault of the kills.
    with faulty(retries=NO_RETRIES, limits={"queue_s": 600, "deadline_s": 600}) as service:
        yield service


def test_a_killer_that_is_off_fails_the_run(without_retries: RunningService, known: Book) -> None:
    rate = min(30.0, a_third(without_retries, known, encoder.MOST_TEXTS))
    row = encoder.run(without_retries, known, requests=30, kills=1, rate=rate, every_s=1.0, is_off=True)
    assert problems(row) == ["only 0 of 1 faults were injected"]
    assert row.requests >= 30


def test_without_retries_a_killed_encoder_is_noticed(without_retries: RunningService, known: Book) -> None:
    # Four fifths of what it can do, and more while one is away: some are under way when an encoder is killed.
    rate = 2.4 * a_third(without_retries, known, 24)
    row = encoder.run(without_retries, known, requests=200, kills=4, rate=rate, every_s=1.0, texts=24)
    assert row.injected == 4
    assert row.failed > 0
    assert f"{row.failed} requests failed: {row.codes}" in problems(row)
