"""What the scenarios on several nodes have in common: the cluster, its deployment, and two kinds of clients."""

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from app.client import AsyncEmbeddingClient, Retry
from app.system import ports
from loadtests.faults import figures
from loadtests.faults.asking import Bare, WithRetries
from loadtests.faults.judging import Judged
from loadtests.faults.killer import Killer, slay
from loadtests.faults.oracle import Book
from loadtests.faults.processes import Processes
from loadtests.faults.row import Row
from loadtests.faults.run import Run, replaced_note, row_of, under_kills
from loadtests.faults.service import BEHIND, ENCODER, ENCODERS, encoders
from loadtests.running import ROOT, RunningService, running, wait_for

WORKERS = 2
RATE = 24.0
KILLS = 20
INGRESSES = 2
RAYLET = "raylet"
# At most four retries; pauses long enough for a proxy that takes some seconds to come back.
RETRY = Retry(attempts=5, first_s=1.5)


@dataclass(frozen=True, slots=True)
class Cluster:
    """`door`: the port that clients speak to."""

    service: RunningService
    processes: Processes
    dashboard: int
    config: Path
    door: int

    def is_whole(self) -> bool:
        """Every replica that was deployed serves, on a node that is there: those of a dead one live for a moment."""
        encoding, answering = self.processes.serving(ENCODER), self.processes.serving("Ingress")
        at_home = [home(replica) is not None for replica in (*encoding, *answering)]
        return len(encoding) == ENCODERS and len(answering) == INGRESSES and all(at_home)

    def is_met(self) -> bool:
        """Every ingress speaks to every encoder. Before that it has to ask Ray's control store where a new one is, and
        whoever kills the store and the older encoder then has killed both encoders."""
        encoding, answering = self.processes.serving(ENCODER), self.processes.serving("Ingress")
        return all(speaks(ingress, encoder) for ingress in answering for encoder in encoding)


def home(replica: psutil.Process) -> int | None:
    """The raylet of its node, if that lives."""
    try:
        return next((parent.pid for parent in replica.parents() if parent.name() == RAYLET), None)
    except psutil.Error:
        return None


def speaks(caller: psutil.Process, server: psutil.Process) -> bool:
    """Whether one process has a TCP connection to a port of the other."""
    with suppress(psutil.Error):
        listening = {each.laddr.port for each in server.net_connections("tcp") if each.status == psutil.CONN_LISTEN}
        return any(each.raddr and each.raddr.port in listening for each in caller.net_connections("tcp"))
    return False


@contextmanager
def cluster(workers: int = WORKERS, apart: bool = False, redis: bool = False) -> Iterator[Cluster]:
    """Two encoders and two ingresses; on worker nodes, where there are any, no two of a kind on one.

    Args:
        apart: The ingresses run on the head, and the encoders alone on the workers.
        redis: The head may die: another takes its place, and clients speak to a worker's proxy.
    """
    [port, dashboard, door] = ports.free(3)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "serve.yaml")
        write(config, port, one_per_node=workers > 1, apart=apart)
        command: tuple[str, ...] = (
            *BEHIND,
            sys.executable,
            "-m",
            "loadtests.faults.cluster",
            str(config),
            "--workers",
            str(workers),
        )
        command += ("--dashboard", str(dashboard), *(["--front"] if apart else []))
        command += ("--redis", "--door", str(door)) if redis else ()
        with running(config, command, port=port) as service:
            found = Cluster(service, Processes(service.marker), dashboard, config, door if redis else port)
            wait_for(found.is_whole, 120, "all replicas")
            yield found


def write(file: Path, port: int, one_per_node: bool = False, apart: bool = False, **args: Any) -> None:
    """The shipped configuration with two replicas of each, and `args` over its own."""
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    config["http_options"] |= {"host": "127.0.0.1", "port": port}
    config["proxy_location"] = "EveryNode"
    [application] = config["applications"]
    two = {"autoscaling": {"min_replicas": INGRESSES, "max_replicas": INGRESSES}}
    ingress: dict[str, Any] = two | {"num_cpus": 0.2, "max_ongoing_requests": 2048}
    encoder = encoders()
    spread = ["TextEncoder-all-MiniLM-L6-v2", "Ingress"] if one_per_node else []
    if apart:
        ingress["resources"], encoder["resources"] = {"front": 0.01}, {"back": 0.01}
        spread.remove("Ingress")
    application["args"] |= {"text_models": [encoder], "image_models": [], "ingress": ingress} | args
    application["deployments"] = [{"name": name, "max_replicas_per_node": 1} for name in spread]
    file.write_text(yaml.safe_dump(config))


def run(
    name: str,
    found: Cluster,
    known: Book,
    kills: int,
    victims: Callable[[], Sequence[psutil.Process]],
    is_whole: Callable[[], bool],
    most_recovery_s: float,
    strike: Callable[[psutil.Process], bool] = slay,
    seconds_a_kill: float = 10.0,
    every_s: float = 2.0,
    is_away: bool = False,
) -> Row:
    """Half the requests go out bare, half by the client library: what the former lose the latter must not.

    Args:
        every_s: At least so long between two kills; the next one always waits for a victim.
        is_away: The only address that clients know is away after a fault: bare requests fail until it is back.
    """
    of_clients: dict[str, list[Judged]] = {"bare": [], "library": []}
    bare = Bare([found.door], known, lambda number: known.in_turn(number, 2, 2))
    library: list[WithRetries] = []

    async def ask(number: int) -> Judged:
        if number % 2 == 0:
            return await bare(number)
        if not library:  # made where the loop runs
            url = f"http://127.0.0.1:{found.door}"
            client = AsyncEmbeddingClient(url, retry=RETRY, concurrency=256, progress=False)
            library.append(WithRetries(client, known, lambda number: known.in_turn(number, 2, 2)))
        judged = await library[0](number)
        of_clients["library"].append(judged)
        return judged

    def living() -> Sequence[psutil.Process]:
        assert found.service.process.poll() is None, f"the cluster ended by itself:\n{found.service.output()}"
        return victims()

    killer = Killer(living, kills, every_s, is_whole, strike)
    requests = round(kills * RATE * 5)
    done = under_kills(ask, RATE, requests, killer, found.processes, 120 + 6 * kills * seconds_a_kill)
    row = row_of(name, done, kills, requests, some_may_fail=True)
    lost = sum(judged.verdict == "failed" for judged in of_clients["library"])
    row.must(lost == 0, f"{lost} requests were lost although the client library tried again")
    row.must(len(of_clients["library"]) >= requests // 2, "the client library sent too few")
    _lost_in_flight(row, done, lost, is_away)
    row.notes.append(replaced_note(done.kills))
    row.recovered_within(most_recovery_s)
    return row


def _lost_in_flight(row: Row, done: Run, by_library: int, is_away: bool) -> None:
    """Without retries no more may fail than were under way when a fault came, where others take over at once."""
    lost = sum(outcome.verdict == "failed" for outcome in done.outcomes) - by_library
    out = figures.under_way([kill.at for kill in done.kills], done.outcomes)
    row.notes.append(f"bare: {lost} lost, {out} were under way at the faults")
    row.must(is_away or lost <= out, f"{lost} requests were lost, and only {out} were under way")
