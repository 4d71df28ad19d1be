"""Counts and recovery times, from outcomes and the moments of the faults. Pure."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from loadtests.faults.driver import Outcome
from loadtests.measuring import percentile_ms

_REQUEST = re.compile(r',"requestId":"[^"]*"|[0-9.]+ ?s\b')
# An answer that took longer was disturbed by something.
DISTURBED_S = 1.0


def verdicts(outcomes: Sequence[Outcome]) -> Counter[str]:
    return Counter(outcome.verdict for outcome in outcomes)


def codes(outcomes: Sequence[Outcome]) -> str:
    """What failed or was refused, by its status, the most frequent first; 0 is no answer."""
    bad = Counter(outcome.status for outcome in outcomes if outcome.verdict in ("failed", "refused"))
    return ", ".join(f"{count} x {status}" for status, count in bad.most_common())


def late_share(outcomes: Sequence[Outcome]) -> float:
    """Of requests that left after they were due: the driver did not keep its schedule."""
    return sum(outcome.is_late for outcome in outcomes) / max(1, len(outcomes))


def latency_ms(outcomes: Sequence[Outcome], percentile: float) -> float:
    seconds = [outcome.latency_s for outcome in outcomes]
    return percentile_ms(seconds, percentile) if seconds else 0.0


def is_disturbed(outcome: Outcome) -> bool:
    return outcome.verdict in ("failed", "wrong") or outcome.latency_s > DISTURBED_S


def recoveries(faults: Sequence[float], outcomes: Sequence[Outcome]) -> list[float]:
    """Seconds from each fault until the last request that it disturbed was answered; 0 where it disturbed none.

    A request that was under way at the fault, or due between it and the next one, is this fault's. One that outlasts
    the next is both's, unless it had only just begun when that came, and others had gone well until then.
    """
    disturbed = [each for each in outcomes if is_disturbed(each)]
    seconds = []
    for fault, following in pairwise([*faults, float("inf")]):
        mine = [each for each in disturbed if each.done > fault and each.due < following]
        unwell = any(following - DISTURBED_S <= each.done <= following for each in mine)
        ended = [each.done for each in mine if unwell or each.done <= following or each.due < following - DISTURBED_S]
        seconds.append(max(ended, default=fault) - fault)
    return seconds


def under_way(faults: Sequence[float], outcomes: Sequence[Outcome]) -> int:
    """Requests that were out when a fault came."""
    return sum(any(outcome.sent <= fault < outcome.done for fault in faults) for outcome in outcomes)


def samples(outcomes: Sequence[Outcome], most: int = 5) -> list[str]:
    """What was wrong or failed, by how often it came."""
    bad = Counter(
        f"{outcome.verdict} {outcome.status}: {_REQUEST.sub('', outcome.words)[:200]}"
        for outcome in outcomes
        if outcome.verdict in ("failed", "wrong")
    )
    return [f"{count} x {words}" for words, count in bad.most_common(most)]
