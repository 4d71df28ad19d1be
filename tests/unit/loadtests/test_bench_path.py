"""What the bench of a miss's way computes; what it measures is its own to say."""

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from loadtests import path_probe
from loadtests.bench_path import SENT, complete, durations
from loadtests.path_probe import FOLDER, HOPS, MODEL
from loadtests.path_tables import (
    Shape,
    busy_table,
    by_hop,
    by_shape,
    cpu_table,
    hop_table,
    middle,
    model_table,
    side_by_side,
    times,
)

NAMES = [hop for hop, *_ in HOPS]


def test_a_hop_lasts_from_the_stamp_before_it() -> None:
    stamps = {SENT: 1_000_000} | {hop: 1_000_000 + (n + 1) * 500_000 for n, hop in enumerate(NAMES)}
    assert durations(stamps) == dict.fromkeys(NAMES, 0.5)


def test_texts_without_a_stamp_are_left_out_and_a_stamp_that_none_has_is_named() -> None:
    whole = dict.fromkeys(NAMES, 1)
    lacking = {hop: 1 for hop in NAMES if hop != "reply"}
    assert complete([whole, lacking]) == [whole]
    with pytest.raises(RuntimeError, match="of 2 texts none has a stamp of reply"):
        complete([lacking, lacking])


def test_medians_are_of_each_hop() -> None:
    texts = [dict.fromkeys(NAMES, ms) | {NAMES[0]: 7.0} for ms in (1.0, 2.0, 9.0)]
    assert by_hop(texts) == dict.fromkeys(NAMES, 2.0) | {NAMES[0]: 7.0}


def test_the_table_has_every_hop_and_the_sum_of_each_place() -> None:
    lines = hop_table({"1": dict.fromkeys(NAMES, 0.25), "8": dict.fromkeys(NAMES, 2.0)}).splitlines()
    assert len(lines) == 2 + len(HOPS) + 4
    assert lines[0] == "| hop | where | 1 client, ms | 8 clients, ms |"
    assert lines[2] == "| client, kernel, HAProxy | client | 0.250 | 2.000 |"
    of_model = sum(where == MODEL for *_, where in HOPS)
    assert lines[-1] == f"| **all of it** | model | **{of_model * 0.25:.2f}** | **{of_model * 2:.2f}** |"


def test_cpu_is_told_without_the_model() -> None:
    spent = {"ingress": 0.5, "encoder": 0.25, "cache": 0.0, "haproxy": 0.125, "rest": 0.125, "model": 3.0}
    lines = cpu_table({"8": {"p50_ms": 9.0, "per_s": 300.0, "cpu_ms": spent}}).splitlines()
    assert lines[0].split(" | ")[3:] == [
        "ingress",
        "encoder",
        "cache",
        "haproxy",
        "rest",
        "model",
        "all but the model |",
    ]
    assert lines[2] == "| 8 | 9.00 | 300 | 0.50 | 0.25 | 0.00 | 0.12 | 0.12 | 3.00 | **1.00** |"


def test_shapes_that_ran_often_stand_beside_the_model_alone() -> None:
    often: Shape = (1, 24, True)
    rare: Shape = (3, 24, False)
    served = [(often, ms) for ms in (3.0, 3.0, 4.0, 3.0, 9.0)] + [(rare, 5.0)]
    assert by_shape(served) == {often: (5, 3.0)}
    lines = model_table({"1": served}, [[(often, 2.0)] * 5 + [(rare, 4.0)]]).splitlines()
    assert lines[2:] == ["| 1 | 1 x 24 | latency | 5 | 3.00 | 2.00 | 1.50 |"]


def test_how_many_runs_are_under_way_is_told_as_shares_of_the_time() -> None:
    one, four = (1, 24, True), (4, 24, False)
    runs = [(four, 0, 40_000_000), (four, 20_000_000, 60_000_000), (one, 80_000_000, 100_000_000)]
    assert times(runs) == [(four, 40.0), (four, 40.0), (one, 20.0)]
    assert side_by_side(runs) == {0: 0.2, 1: 0.6, 2: 0.2}
    assert busy_table({"8": runs}).splitlines()[2:] == ["| 8 | 20% | 60% | 20% | 3.0 |"]
    # From the run in the middle on, for 60 ms.
    assert middle({"8": runs})["8"] == [(4, -20.0, 20.0), (4, 0.0, 40.0)]
    assert middle({"8": [*runs, (four, 79_000_000, 90_000_000)]})["8"][-1] == (1, 1.0, 21.0)


async def test_functions_are_wrapped_in_kind() -> None:
    class Part:
        def plain(self, n: int) -> int:
            return n

        async def awaited(self, n: int) -> int:
            return n

    seen: list[str] = []

    def around(real: Any, *args: Any) -> Any:
        seen.append("plain")
        return real(*args)

    for name, wrapper in (("plain", around), ("awaited", path_probe.noting(seen.append, "awaited"))):
        path_probe.wrap(Part, name, wrapper)
    assert inspect.iscoroutinefunction(Part.awaited)
    assert not inspect.iscoroutinefunction(Part.plain)
    assert [Part().plain(1), await Part().awaited(2)] == [1, 2]
    assert seen == ["plain", "awaited"]


def test_what_was_noted_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    path_probe.stamp(["a", None, "b"], "called")
    path_probe.runs.append((1, 24, True, 5, 7))
    path_probe.flush()
    [file] = tmp_path.glob("*.json")
    noted = json.loads(file.read_bytes())
    assert list(noted["texts"]) == ["a", "b"]
    assert noted["texts"]["a"]["called"] == noted["texts"]["b"]["called"] > 0
    assert noted["runs"] == [[1, 24, True, 5, 7]]
    assert (path_probe.of_texts, path_probe.runs) == ({}, [])


def test_hops_have_names_of_their_own() -> None:
    assert len({SENT, *NAMES}) == len(NAMES) + 1
