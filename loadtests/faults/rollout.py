"""R5: `serve deploy` of another configuration, five times under load: every replica is replaced, no request fails."""

import threading
import time
from pathlib import Path

from loadtests.faults import nodes
from loadtests.faults.asking import Bare
from loadtests.faults.cluster import deploy
from loadtests.faults.killer import Kill
from loadtests.faults.memory import Sampler
from loadtests.faults.oracle import Book, book
from loadtests.faults.row import Row
from loadtests.faults.run import MEMORY_EVERY_S, Run, drive, replaced_note, row_of
from loadtests.faults.service import ENCODER, encoders

NAME = "rolling serve deploy"
ROLLOUTS, RATE = 5, 24.0
MOST_S = 150.0
PAUSE_S = 2.0


def scenario(scale: float) -> Row:
    known = book(512, 12)
    with nodes.cluster(workers=0) as found:
        return run(found, known, max(1, round(ROLLOUTS * scale)))


def run(found: nodes.Cluster, known: Book, rollouts: int) -> Row:
    roller = Roller(found, rollouts)
    ask = Bare([found.service.port], known, lambda number: known.in_turn(number, 2, 2))
    with Sampler(found.processes.all, MEMORY_EVERY_S) as sampler:
        roller.start()
        outcomes = drive(ask, RATE, lambda _: roller.is_alive())
    row = row_of(NAME, Run(outcomes, roller.done, sampler.series), rollouts, round(RATE * PAUSE_S * rollouts))
    row.none_failed()
    row.problems += roller.problems
    row.notes.append(replaced_note(roller.done))
    return row


class Roller(threading.Thread):
    """Deploys, waits until not one replica is left of those before, and deploys again. A rollout that it did not see
    through does not count."""

    def __init__(self, found: nodes.Cluster, rollouts: int) -> None:
        super().__init__(daemon=True)
        self.done: list[Kill] = []
        self.problems: list[str] = []
        self._found = found
        self._rollouts = rollouts

    def run(self) -> None:
        for number in range(self._rollouts):
            time.sleep(PAUSE_S)
            before = self._replicas()
            config = Path(self._found.config.parent, f"rollout-{number}.yaml")
            # A limit that nobody meets: every replica of the ingress must know it. The encoders get another thread.
            encoder = encoders() | {"workers": 3 + number}
            nodes.write(config, self._found.service.port, limits={"texts": 2000 - number}, text_models=[encoder])
            started = time.monotonic()
            try:
                deploy(config, self._found.dashboard)
            except Exception as error:  # noqa: BLE001 - the row tells it
                self.problems.append(f"serve deploy: {error}")
                return
            while self._replicas() & before or not self._found.is_whole():
                if time.monotonic() > started + MOST_S:
                    self.problems.append(f"rollout {number + 1} was not through after {MOST_S:g} s")
                    return
                time.sleep(0.2)
            self.done.append(Kill(started, 0, "rollout", time.monotonic() - started))
        time.sleep(PAUSE_S)

    def _replicas(self) -> set[int]:
        processes = self._found.processes
        return {
            each.pid
            for name in (ENCODER, "Ingress")
            for each in processes.titled(f"ray::ServeReplica:embedding-service:{name}")
        }
