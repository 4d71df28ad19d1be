"""R1: encoder replicas are killed on schedule, in the middle of batches; nobody may notice."""

import psutil

from loadtests.faults import figures
from loadtests.faults.asking import Bare
from loadtests.faults.killer import Killer
from loadtests.faults.oracle import Book, book
from loadtests.faults.row import Row
from loadtests.faults.run import pace_note, replaced_note, row_of, under_kills
from loadtests.faults.service import ENCODER, ENCODERS, faulty, processes_of
from loadtests.running import RunningService, wait_for

NAME = "encoder replica SIGKILL"
REQUESTS, KILLS, EVERY_S, RATE = 15_000, 50, 5.0, 60.0
MOST_TEXTS = 4
SLOW_START_S = 15.0
FEW = 10


def scenario(scale: float) -> Row:
    known = book(1024, 12)
    with faulty() as service:
        return run(service, known, round(REQUESTS * scale), max(1, round(KILLS * scale)))


def run(
    service: RunningService,
    known: Book,
    requests: int,
    kills: int,
    rate: float = RATE,
    every_s: float = EVERY_S,
    texts: int = MOST_TEXTS,
    is_off: bool = False,
) -> Row:
    """Requests of 1 to `texts` texts. `is_off`: the killer finds nobody, as a negative control."""
    processes = processes_of(service)
    wait_for(lambda: len(processes.serving(ENCODER)) == ENCODERS, 120, "all encoder replicas")

    def is_whole() -> bool:
        return len(processes.serving(ENCODER)) == ENCODERS

    def victims() -> list[psutil.Process]:
        """One of two: on a machine that takes longer for a start than `every_s`, the next kill waits for it."""
        return processes.serving(ENCODER) if is_whole() and not is_off else []

    killer = Killer(victims, kills, every_s, is_whole)
    give_up_s = 60 + max(3 * requests / rate, kills * (every_s + SLOW_START_S))
    if is_off:
        give_up_s = requests / rate + 2 * every_s
    done = under_kills(
        Bare([service.port], known, lambda n: known.in_turn(n, 1 + n % texts, texts)),
        rate,
        requests,
        killer,
        processes,
        give_up_s,
    )
    row = row_of(NAME, done, kills, requests)
    row.none_failed()
    row.must(done.hits == 0, f"{done.hits} vectors came from the cache: the encoders were spared")
    struck = figures.under_way([kill.at for kill in done.kills], done.outcomes)
    row.notes.append(f"{struck} requests under way at the kills")
    row.must(struck > 0 or len(done.kills) < FEW, "only idle replicas were killed")
    row.notes += [replaced_note(done.kills), pace_note(done.kills)]
    return row
