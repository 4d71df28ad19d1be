"""`app.dispatch.admission`: what waits, how long it takes, and what is refused because of it."""

from collections.abc import Sequence

import pytest

from app.dispatch.admission import (
    CALL_UNITS,
    IMAGE_UNITS,
    ITEM_UNITS,
    MOST_CHARACTERS,
    RECENT_S,
    UNKNOWN_RATE,
    AdmissionControl,
    image_units,
    in_full,
    text_units,
)
from app.errors import Overloaded
from app.types import Pair, Prompted, TextInput, TokenIds
from tests.support.aio import Clock

CALL = 1000 - CALL_UNITS  # units of a call that counts as 1,000


def units(items: Sequence[int]) -> int:
    return sum(items)


def admission_of(clock: Clock, queue_s: float = 4.0, deadline_s: float = 30.0) -> AdmissionControl[int]:
    return AdmissionControl("the model", units, queue_s, deadline_s, clock)


def run(admission: AdmissionControl[int], clock: Clock, seconds: float, calls: int = 1) -> None:
    """Calls that count as 1,000 units each, one after the other."""
    for _ in range(calls):
        began = clock.now
        clock.now += seconds
        admission.ran(CALL, began)


def refused(admission: AdmissionControl[int], items: Sequence[int] = (1,), waited_s: float = 4.0) -> float | None:
    """The seconds that a client is told to wait."""
    refusal = admission.refusal(units(items), waited_s)
    return refusal.retry_after if refusal is not None else None


def run_busy(admission: AdmissionControl[int], clock: Clock, seconds: float, calls: int) -> None:
    """As `run`, while more waits."""
    admission.waiting = 10**6
    run(admission, clock, seconds, calls)
    admission.waiting = 0


def test_the_rate_is_what_came_back_while_there_was_work() -> None:
    clock = Clock()
    admission = admission_of(clock)
    run_busy(admission, clock, 0.5, calls=10)
    assert admission.rate == pytest.approx(2000)
    clock.now += 3600  # without work, time says nothing
    run_busy(admission, clock, 0.5, calls=1)
    assert admission.rate == pytest.approx(2000)


def test_calls_that_overlap_are_not_counted_twice() -> None:
    clock = Clock()
    admission = admission_of(clock)
    admission.waiting = 10**6
    began = clock.now
    for _ in range(20):  # two are always under way
        clock.now += 0.5
        admission.ran(CALL, began)
        began = clock.now - 0.5
    assert admission.rate == pytest.approx(2000)


def test_the_time_in_which_there_was_no_replica_says_nothing_of_the_rate() -> None:
    clock = Clock()
    admission = admission_of(clock)
    run_busy(admission, clock, 0.5, calls=10)
    admission.waiting = 10**6
    sent = clock.now
    clock.now += 20
    admission.ran(CALL, sent)
    # Others that waited as long: they were answered behind the first.
    for _ in range(2):
        assert admission.rate == pytest.approx(2000)
        clock.now += 0.5
        admission.ran(CALL, sent)
    assert admission.rate == pytest.approx(2000)


def test_the_rate_follows_a_model_that_slows_down() -> None:
    clock = Clock()
    admission = admission_of(clock)
    run_busy(admission, clock, 0.1, calls=100)
    assert admission.rate == pytest.approx(10_000)
    run_busy(admission, clock, 1.0, calls=3)
    assert admission.rate == pytest.approx(1000)


def test_one_slow_call_is_no_evidence() -> None:
    clock = Clock()
    admission = admission_of(clock)
    run_busy(admission, clock, 12.0, calls=1)
    assert admission.rate == UNKNOWN_RATE
    run_busy(admission, clock, 0.1, calls=20)
    run_busy(admission, clock, 12.0, calls=1)
    assert admission.rate == pytest.approx(10_000)
    admission.waiting = 20_000
    assert refused(admission) is None  # 2 s of work
    admission.waiting = 45_000
    assert refused(admission) == 5


def test_the_rate_recovers_from_several_slow_calls_as_soon_as_enough_were_good() -> None:
    clock = Clock()
    admission = admission_of(clock)
    run_busy(admission, clock, 0.1, calls=20)
    run_busy(admission, clock, 12.0, calls=3)
    assert admission.rate == pytest.approx(1000 / 12)
    run_busy(admission, clock, 0.1, calls=round(RECENT_S / 0.1) + 1)
    assert admission.rate == pytest.approx(10_000)


def test_a_request_is_weighed_by_what_is_done_before_it() -> None:
    clock = Clock()
    admission = admission_of(clock, queue_s=4, deadline_s=30)
    run_busy(admission, clock, 1.0, calls=3)
    admission.waiting = 50_000
    assert admission.refusal(100, 4.0, lambda: 3900) is None
    refusal = admission.refusal(100, 4.0, lambda: 4100)
    assert (str(refusal), refusal and refusal.retry_after) == ("the model has 4.1 s of work waiting.", 5)
    # Nothing waits before it, and it is too large itself.
    refusal = admission.refusal(31_000, 4.0, lambda: 0)
    assert (str(refusal), refusal and refusal.retry_after) == ("the model has 0.0 s of work waiting.", 1)


def test_calls_beside_each_other_do_not_make_an_idle_model_look_quick() -> None:
    clock = Clock()
    admission = admission_of(clock)
    run_busy(admission, clock, 0.1, calls=20)
    began = clock.now
    clock.now += 1
    admission.ran(CALL, began)
    clock.now += 0.001
    admission.ran(CALL, began)  # answered right after the other, and as long under way
    assert admission.rate == pytest.approx(10_000)


def test_a_model_with_little_to_do_is_not_taken_for_a_slow_one() -> None:
    clock = Clock()
    admission = admission_of(clock)
    run_busy(admission, clock, 0.1, calls=100)
    for _ in range(100):
        admission.waiting = CALL  # nothing but this call
        run(admission, clock, 1.0)
    assert admission.rate == pytest.approx(10_000)
    admission.waiting = CALL
    run(admission, clock, 0.02)  # quicker than it was ever known to be
    assert admission.rate > 10_100


def test_more_is_taken_until_the_queue_is_as_long_as_it_may_be() -> None:
    clock = Clock()
    admission = admission_of(clock, queue_s=4)
    run_busy(admission, clock, 1.0, calls=50)
    for waiting in (0, 1000, 3990):
        admission.waiting = waiting
        assert refused(admission) is None
    admission.waiting = 4500
    assert refused(admission) == 5
    admission.waiting = 9100
    assert refused(admission) == 10


def test_what_cannot_be_done_by_its_deadline_is_refused() -> None:
    clock = Clock()
    admission = admission_of(clock, queue_s=4, deadline_s=30)
    run_busy(admission, clock, 1.0, calls=50)
    admission.waiting = 1990
    assert refused(admission, [27_990]) is None
    assert refused(admission, [28_050]) == 2


def test_nothing_is_refused_on_an_estimate_alone() -> None:
    clock = Clock()
    admission = admission_of(clock, queue_s=4)
    run_busy(admission, clock, 1.0, calls=50)
    admission.waiting = 10**9
    assert refused(admission, waited_s=0.99) is None
    assert (refused(admission, waited_s=1.0) or 0) >= 10**6 - 1


def test_before_anything_came_back_a_rate_is_taken_for_granted() -> None:
    admission = admission_of(Clock())
    admission.waiting = 400_000
    assert refused(admission) is None
    admission.waiting = 400_001
    assert refused(admission) == 5


def test_a_call_is_given_longer_where_more_waits_and_never_beyond_the_deadline() -> None:
    clock = Clock()
    admission = admission_of(clock, deadline_s=30)
    run_busy(admission, clock, 1.0, calls=50)
    assert admission.call_timeout_s() == 10
    admission.waiting = 3000
    assert admission.call_timeout_s() == pytest.approx(16)
    admission.waiting = 60_000
    assert admission.call_timeout_s() == 30


def test_units_of_texts_and_images() -> None:
    long = "x" * (MOST_CHARACTERS + 1)
    texts: list[TextInput] = [
        "abc",
        Prompted("abcd", "query: "),
        TokenIds((1, 2)),
        long,
        Prompted(long),
        TokenIds((1,) * 4096),
        Pair("abc", "de"),
        Pair(long, long),
    ]
    assert text_units(texts) == 3 + 4 + 8 + 5 + 4 * MOST_CHARACTERS + 8 * ITEM_UNITS
    assert image_units([b"", b"abc"]) == 2 * IMAGE_UNITS


def test_work_that_waits_elsewhere_is_accounted_for_and_refused() -> None:
    clock = Clock()
    admission = admission_of(clock, queue_s=4)
    run_busy(admission, clock, 1.0, calls=50)
    with admission.track([9000]):
        clock.now += 0.5
        with admission.track([100]):  # no request has waited for long
            assert admission.waiting == 9100
        clock.now += 0.6
        with pytest.raises(Overloaded) as refusal, admission.track([100]):
            raise AssertionError("taken")
        assert refusal.value.retry_after is not None
        assert admission.waiting == 9000
    assert admission.waiting == 0
    with pytest.raises(ValueError, match="broken"), admission.track([100]):
        raise ValueError("broken")
    assert admission.waiting == 0
    clock.now += 100
    with admission.track([100]):  # what is over is no longer the oldest
        pass


def test_a_document_that_is_read_whole_costs_what_its_characters_do() -> None:
    long = "a" * (2 * MOST_CHARACTERS + 5)
    assert in_full([long, "", "abc"]) == ["a" * MOST_CHARACTERS, "a" * MOST_CHARACTERS, "aaaaa", "abc"]
    assert text_units(in_full([long])) == len(long) + 3 * ITEM_UNITS
    assert text_units([long]) == MOST_CHARACTERS + ITEM_UNITS, "where it is cut"
