"""What the faults' short forms share: a load that any machine can bear, and what is a problem on any machine."""

import asyncio
from itertools import count

from loadtests.faults import overload
from loadtests.faults.asking import Bare
from loadtests.faults.oracle import Asked, Book
from loadtests.faults.row import Row
from loadtests.running import RunningService

CLIENTS, MEASURED_S = 4, 2.0
# Texts that nobody sends before or after.
_numbers = count(50_000)


def problems(row: Row) -> list[str]:
    """Without those of how fast this machine is: `make faults` judges them, where it has the machine for itself."""
    return [words for words in row.problems if "schedule" not in words and "recovery took" not in words]


def a_third(service: RunningService, known: Book, texts: int) -> float:
    """Requests of 1 to `texts` texts a second, of which this machine could do three times as many just now."""

    def pick(_: int) -> Asked:
        number = next(_numbers)
        return known.in_turn(number, 1 + number % texts, texts)

    answered = asyncio.run(overload.closed_loop(Bare([service.port], known, pick), CLIENTS, MEASURED_S))
    return answered / MEASURED_S / 3
