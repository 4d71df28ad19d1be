"""Driver, killer, memory check and verdict of the fault runs, on processes of this test's own; no service."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from loadtests.faults import cache_model, figures, report
from loadtests.faults.driver import Driver, Outcome
from loadtests.faults.judging import Judged
from loadtests.faults.killer import Killer, slay
from loadtests.faults.memory import MB, Sample, Sampler, growth, leaks
from loadtests.faults.nodes import speaks
from loadtests.faults.overload import closed_loop
from loadtests.faults.processes import MARK, REPLICA, Processes
from loadtests.faults.row import Row, passed, table
from loadtests.faults.run import under_kills
from loadtests.running import clean_environment, wait_for

SLEEPS = "import time; time.sleep(600)"
LEAKS = "import time; kept = []\nwhile True: kept.append(b'x' * 2**20); time.sleep(0.005)"


def outcome(due: float, done: float, verdict: str = "good", sent: float | None = None) -> Outcome:
    return Outcome(due, due if sent is None else sent, done, verdict, 200)  # type: ignore[arg-type]


class Nursery:
    """Processes that come and go, all with one mark."""

    def __init__(self, mark: str) -> None:
        self.marked = Processes(mark)
        self._mark = mark
        self._children: list[subprocess.Popen[bytes]] = []

    def start(self, code: str = SLEEPS, mark: str | None = None) -> psutil.Process:
        environment = clean_environment() | {MARK: mark or self._mark}
        self._children.append(subprocess.Popen([sys.executable, "-c", code], env=environment))
        return psutil.Process(self._children[-1].pid)

    def start_titled(self, title: str) -> psutil.Process:
        """With the title that Ray would give it."""
        environment = clean_environment() | {MARK: self._mark}
        argv = [title, "-c", SLEEPS]
        self._children.append(subprocess.Popen(argv, executable=sys.executable, env=environment))
        return psutil.Process(self._children[-1].pid)

    def end(self) -> None:
        for child in self._children:
            child.kill()
            child.wait()


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[Nursery]:
    nursery = Nursery(tmp_path.name)
    yield nursery
    nursery.end()


async def good(number: int) -> Judged:
    return Judged("good", 200)


async def test_the_driver_keeps_its_rate_whatever_the_answers_do() -> None:
    """Nobody answers before all 40 are out: a closed loop would never get there."""
    out = 0
    all_out = asyncio.Event()

    async def slow(number: int) -> Judged:
        nonlocal out
        out += 1
        if out == 40:
            all_out.set()
        await all_out.wait()
        return Judged("good", 200)

    driver = Driver(slow, 2000.0)
    await driver.run(lambda sent: sent < 40)
    assert figures.verdicts(driver.outcomes) == {"good": 40}
    gaps = sorted(each.due for each in driver.outcomes)
    assert gaps[-1] - gaps[0] == pytest.approx(39 / 2000)


async def test_a_question_that_breaks_is_a_failure() -> None:
    async def broken(number: int) -> Judged:
        raise OSError("no route")

    driver = Driver(broken, 1000.0)
    await driver.run(lambda sent: sent < 3)
    assert [each.verdict for each in driver.outcomes] == ["failed"] * 3
    assert "no route" in driver.outcomes[0].words


def test_late_requests_are_told() -> None:
    outcomes = [outcome(0, 1), outcome(1, 3, sent=2.0)]
    assert figures.late_share(outcomes) == 0.5
    row = Row("x", 1, 1, 2, 2)
    row.kept_schedule(figures.late_share(outcomes))
    assert row.problems == ["the driver did not keep its schedule: 50.0% of the requests left late"]


def test_recovery_is_the_last_disturbed_answer_of_each_fault() -> None:
    outcomes = [
        outcome(9.0, 9.1),
        outcome(9.9, 12.5),  # under way at the first fault, and slow
        outcome(11.0, 11.2, "failed"),
        outcome(13.0, 13.1),
        outcome(21.0, 21.1),
        outcome(28.5, 33.0),  # slow before the third, and after it
        outcome(29.5, 32.0),  # had only just begun at the third
        outcome(31.0, 31.4, "failed"),
    ]
    assert figures.recoveries([10.0, 20.0, 30.0], outcomes) == [2.5, 13.0, 3.0]
    assert figures.recoveries([20.0, 30.0], outcomes[-2:]) == [0.0, 2.0]
    assert [figures.under_way([fault], outcomes) for fault in (10.0, 20.0, 30.0)] == [1, 0, 2]
    assert figures.under_way([10.0, 12.0, 30.0], outcomes) == 3


def test_refusals_and_good_answers_are_no_disturbance() -> None:
    assert figures.recoveries([1.0], [outcome(1.1, 1.2, "refused"), outcome(1.2, 1.3)]) == [0.0]


def test_the_killer_kills_what_it_counts(nursery: Nursery) -> None:
    for _ in range(3):
        nursery.start()
    spared = nursery.start(mark="another service")
    wait_for(lambda: len(nursery.marked.named("python")) == 3)
    with Killer(lambda: nursery.marked.named("python"), 2, 0.0, lambda: True) as killer:
        wait_for(lambda: killer.is_done)
    assert len({kill.pid for kill in killer.kills}) == 2
    assert not any(psutil.pid_exists(kill.pid) and is_running(kill.pid) for kill in killer.kills)
    assert len(nursery.marked.named("python")) == 1
    assert spared.is_running()


def test_a_victim_whose_place_is_filled_just_before_the_next_kill_was_replaced(nursery: Nursery) -> None:
    whole = False

    def victims() -> Sequence[psutil.Process]:
        nonlocal whole
        whole = True  # between the look at it and this
        return nursery.marked.named("python")

    def strike(victim: psutil.Process) -> bool:
        nonlocal whole
        whole = False
        return slay(victim)

    for _ in range(2):
        nursery.start()
    wait_for(lambda: len(nursery.marked.named("python")) == 2)
    with Killer(victims, 2, 0.0, lambda: whole, strike) as killer:
        wait_for(lambda: len(killer.kills) == 2)
    assert killer.kills[0].back_s is not None


def is_running(pid: int) -> bool:
    return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)


def test_a_killer_that_fails_tells_it() -> None:
    def victims() -> Sequence[psutil.Process]:
        raise ValueError("no such title")

    with pytest.raises(ValueError, match="no such title"), Killer(victims, 1, 0.0, lambda: True) as killer:
        wait_for(lambda: killer.is_done)


def test_the_dead_do_not_count(nursery: Nursery) -> None:
    victim = nursery.start()
    victim.kill()
    wait_for(lambda: not is_running(victim.pid))
    killer = Killer(lambda: [victim], 1, 0.0, lambda: True)
    with killer:
        wait_for(lambda: not nursery.marked.all())
    assert killer.kills == []


def test_a_run_whose_killer_is_off_fails(nursery: Nursery) -> None:
    killer = Killer(list, 2, 0.0, lambda: True)
    run = under_kills(good, 500.0, 20, killer, nursery.marked, give_up_s=2.0)
    row = Row("killer off", len(run.kills), 2, len(run.outcomes), 20)
    assert row.requests > 20
    assert row.problems == ["only 0 of 2 faults were injected"]
    assert not passed([row])


def test_a_run_with_too_few_requests_or_a_wrong_answer_fails() -> None:
    assert Row("x", 2, 2, 19, 20).problems == ["only 19 of 20 requests were made"]
    assert Row("x", 2, 2, 20, 20, wrong=1).problems == ["1 answers were wrong"]
    assert passed([Row("x", 2, 2, 20, 20)])
    assert not passed([])
    slow = Row("x", 1, 1, 1, 1, recovery_s=[0.2, 7.0])
    slow.recovered_within(5.0)
    assert slow.problems == ["recovery took 7.0 s, not 5 s at most"]


async def test_clients_that_answer_at_the_same_time_are_all_counted() -> None:
    asked = 0

    async def ask(_: int) -> Judged:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return Judged("good", 200)

    assert await closed_loop(ask, 4, 0.05) == asked > 4


def test_a_planted_leak_is_found_in_a_real_process(nursery: Nursery) -> None:
    leaking, still = nursery.start(LEAKS), nursery.start()
    with Sampler(nursery.marked.all, 0.05) as sampler:
        name, other = f"python {leaking.pid}", f"python {still.pid}"
        wait_for(lambda: growth(sampler.series) > 40 * MB and len(sampler.series[name]) > 8 and sampler.series[other])
    found = leaks(sampler.series, 10.0, after=0.0)
    assert [words for words in found if words.startswith(f"{name} grows by ")]
    assert max(s.rss for s in sampler.series[other]) < 40 * MB


def test_an_actor_has_one_series_whatever_its_title_says_it_is_at() -> None:
    titles = ["ray::CacheActor", "ray::CacheActor.lookup", "ray::CacheActor.put"]
    memory = SimpleNamespace(rss=2, pss=1)
    actor: Any = SimpleNamespace(pid=7, memory_full_info=lambda: memory, cmdline=lambda: [titles.pop(0)])
    sampler = Sampler(lambda: [actor], 1.0)
    while titles:
        sampler.sample()
    assert {name: len(samples) for name, samples in sampler.series.items()} == {"ray::CacheActor 7": 3}


def test_the_slope_is_judged_after_warming_up() -> None:
    warm = [Sample(60.0 * minute, (100 + min(minute, 10) * 20) * MB, 0) for minute in range(60)]
    slow = [Sample(60.0 * minute, round((100 + minute * 0.5) * MB), 0) for minute in range(60)]
    series = {"settles": warm, "leaks": slow, "short": slow[:4]}
    assert leaks(series, 10.0, after=900.0) == ["leaks grows by 30.0 MB/h"]
    assert len(leaks(series, 10.0, after=0.0)) == 2


def test_the_table_and_the_file_keep_what_was_found(tmp_path: Path) -> None:
    row = Row("encoder", 3, 3, 100, 100, failed=2, recovery_s=[1.0, 2.5], notes=["p50 4 ms"])
    row.none_failed()
    line = table([row]).splitlines()[-1]
    assert line == "| encoder | 3 | 100 | 2 | 0 | 1.0 / 2.5 s | p50 4 ms | **no**: 2 requests failed |"
    report.keep(tmp_path, {"encoder": row}, 1.0)
    report.keep(tmp_path, {"cache": replace(row, fault="cache", problems=[])}, 0.5)
    kept = json.loads((tmp_path / "faults.json").read_text())
    assert kept["encoder"]["problems"] == ["2 requests failed"]
    text = (tmp_path / "faults.md").read_text()
    assert line in text
    assert "only 0.5 of the full length" in text
    assert text.count("**no**") == 1


def test_the_cache_is_as_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_model.run(20_000).problems == []

    def broken(*_: object) -> None:
        raise AssertionError("12 entries, not 11")

    monkeypatch.setattr(cache_model, "walk", broken)
    row = cache_model.run(20_000)
    assert row.problems[:2] == ["only 0 of 20000 faults were injected", "only 0 of 20000 requests were made"]
    assert "12 entries, not 11" in row.problems[2]


def test_a_replica_serves_when_it_has_settled_and_does_not_load(nursery: Nursery) -> None:
    replica = nursery.start_titled(f"{REPLICA}TextEncoder-a")
    nursery.start_titled(f"{REPLICA}TextEncoder-b.initialize_and_get_metadata")
    nursery.start_titled(f"{REPLICA}Ingress")
    wait_for(lambda: len(nursery.marked.titled(REPLICA)) == 3, 10, "all three")
    assert nursery.marked.serving("TextEncoder") == []
    wait_for(lambda: nursery.marked.serving("TextEncoder"), 10, "the one that has settled")
    assert nursery.marked.serving("TextEncoder") == [replica]


def test_a_process_speaks_to_another_once_it_has_a_connection() -> None:
    own, other = psutil.Process(), psutil.Process().parent()
    assert other is not None
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not speaks(own, own)
        with socket.create_connection(server.getsockname()):
            assert speaks(own, own)
            assert not speaks(other, own)
