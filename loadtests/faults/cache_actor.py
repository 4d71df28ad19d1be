"""R2: the shared cache's actor is killed as soon as it has recovered; to users that is a miss."""

import json
import urllib.request

import psutil

from loadtests.faults.asking import Bare
from loadtests.faults.killer import Killer
from loadtests.faults.oracle import Book, book
from loadtests.faults.row import Row
from loadtests.faults.run import row_of, under_kills
from loadtests.faults.service import faulty, processes_of
from loadtests.running import RunningService, wait_for

NAME = "cache actor SIGKILL"
ACTOR = "ray::CacheActor"
KILLS, RATE = 40, 80.0
SECONDS_A_KILL = 3.0
MOST_TEXTS = 4
MOST_RECOVERY_S = 5.0


def scenario(scale: float) -> Row:
    known = book(512, 12)
    # Small near caches: the shared one is asked, and not only by the few requests that nobody sent before.
    with faulty(cache={"near_max_bytes": 64 * 1024}) as service:
        return run(service, known, max(1, round(KILLS * scale)))


def run(service: RunningService, known: Book, kills: int, rate: float = RATE) -> Row:
    processes = processes_of(service)
    wait_for(lambda: processes.titled(ACTOR) and is_available(service.port), 60, "the cache")
    seen: set[tuple[int, float]] = set()

    def victims() -> list[psutil.Process]:
        """The actor, if nobody killed it yet and the service is on terms with it."""
        if not is_available(service.port):
            return []
        fresh = [actor for actor in processes.titled(ACTOR) if (actor.pid, actor.create_time()) not in seen]
        seen.update((actor.pid, actor.create_time()) for actor in fresh)
        return fresh

    def is_whole() -> bool:
        dead = {kill.pid for kill in killer.kills}
        return any(actor.pid not in dead for actor in processes.titled(ACTOR)) and is_available(service.port)

    killer = Killer(victims, kills, 0.0, is_whole)
    requests = round(kills * SECONDS_A_KILL * rate)
    ask = Bare([service.port], known, lambda number: known.drawn(number, MOST_TEXTS))
    done = under_kills(ask, rate, requests, killer, processes, 60 + 4 * kills * SECONDS_A_KILL)
    row = row_of(NAME, done, kills, requests)
    row.none_failed()
    # What users see is not enough: the cache itself must be back.
    row.recovery_s = [kill.back_s for kill in done.kills if kill.back_s is not None]
    row.must(len(row.recovery_s) == len(done.kills), "a killed cache did not come back")
    row.recovered_within(MOST_RECOVERY_S)
    row.must(done.hits > 0, "no vector came from the cache: there was none to kill")
    row.notes.append(f"{done.hits:,} vectors from the cache")
    return row


def is_available(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/cache/stats", timeout=5) as answer:
            return bool(json.load(answer)["available"])
    except (OSError, ValueError):
        return False
