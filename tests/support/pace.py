"""What the faults' short forms share: a load that any machine can bear, and what is a problem on any machine."""

import asyncio
import re
from itertools import count

from loadtests.faults import overload
from loadtests.faults.asking import Bare
from loadtests.faults.oracle import Asked, Book
from loadtests.faults.row import Row
from loadtests.running import RunningService

CLIENTS, MEASURED_S = 4, 2.0
# A machine that became busier since it was measured refuses some, and says when to come back.
REFUSED = re.compile(r"\d+ requests failed: \d+ x 429")
MOST_REFUSED = 1 / 10
# Texts that nobody sends before or after.
_numbers = count(50_000)


def problems(row: Row) -> list[str]:
    """Without those of how fast this machine is: `make faults` judges them, where it has the machine for itself."""
    is_borne = row.failed <= MOST_REFUSED * row.requests
    of_others = ["schedule", "recovery took"]
    return [
        words
        for words in row.problems
        if not any(word in words for word in of_others) and not (is_borne and REFUSED.fullmatch(words))
    ]


def a_third(service: RunningService, known: Book, texts: int) -> float:
    """Requests of 1 to `texts` texts a second, of which this machine could do three times as many just now."""

    def pick(_: int) -> Asked:
        number = next(_numbers)
        return known.in_turn(number, 1 + number % texts, texts)

    answered = asyncio.run(overload.closed_loop(Bare([service.port], known, pick), CLIENTS, MEASURED_S))
    return answered / MEASURED_S / 3
