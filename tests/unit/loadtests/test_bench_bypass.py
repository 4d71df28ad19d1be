"""What the ablation computes; what it measures is its own to say."""

import pytest

from app.config.settings import AppArgs
from loadtests import bench_bypass, workloads
from loadtests.bench_bypass import WITHOUT, Figures, Row, arguments, compared, in_turns, rows, text_table
from loadtests.systems import System

SYSTEMS = [System(name, port, port, "/embed/text", "", "text", "") for port, name in enumerate(("shipped", "other"))]


def figures(p50: float, rate: float = 100.0) -> Figures:
    return {"p50_ms": p50, "per_s": rate, "cpu_ms": 1.0}


def test_ratios_are_of_each_turn_and_then_the_median() -> None:
    runs = [[figures(1.0), figures(1.2)], [figures(10.0), figures(13.0)], [figures(2.0), figures(1.0)]]
    assert compared(runs, "p50_ms") == pytest.approx((2.0, 1.2, 1.2, 2 / 3))
    assert compared(runs, "per_s")[2] == 1.0


def test_the_table_has_a_line_for_each_workload_and_pair() -> None:
    runs = {"one": [[figures(1.0), figures(1.25, 80)]], "two": [[figures(2.0), figures(2.0)]]}
    lines = text_table({"without rpc": runs, "all off": runs}).splitlines()
    assert [line.split(" | ")[:2] for line in lines[2:]] == [
        ["| one", "without rpc"],
        ["| one", "all off"],
        ["| two", "without rpc"],
        ["| two", "all off"],
    ]
    assert "1.00 → 1.25 (+25%, 100% agree) | 100.00 → 80.00 (-20%, 100% agree)" in lines[2]


def test_systems_take_turns_and_so_does_who_is_first(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def measure(self: Row, system: System) -> Figures:
        asked.append((self.name, system.name))
        return figures(float(system.port))

    monkeypatch.setattr(Row, "measure", measure)
    table = [Row(name, 1, lambda system: []) for name in ("a", "b")]
    runs = in_turns(SYSTEMS, table, 2)
    first, second = [("a", "shipped"), ("a", "other")], [("b", "shipped"), ("b", "other")]
    assert asked == [*first, *second, *first[::-1], *second[::-1]]
    assert [[one["p50_ms"] for one in turn] for turn in runs["a"]] == [[0.0, 1.0]] * 2


def test_workloads_are_what_they_are_called() -> None:
    table = {row.name: row for row in rows(0.01)}
    sizes = {name: (row.clients, len(set(row.bodies(SYSTEMS[0])))) for name, row in table.items()}
    assert sizes["hit, 1 client"] == (1, 1)
    assert sizes["hits, 32 clients"] == (32, 1)
    assert sizes["128 clients"] == (128, 20)
    working_set = table["4 x the near cache, 8 clients"]
    assert set(working_set.bodies(SYSTEMS[0])) <= set(working_set.known(SYSTEMS[0]))
    assert not set(table["8 clients"].bodies(SYSTEMS[0])) & set(table["8 clients"].bodies(SYSTEMS[0]))


def test_each_part_is_off_once_and_then_all() -> None:
    settings = {name: AppArgs.model_validate({"serve_bypass": value}).serve_bypass for name, value in WITHOUT.items()}
    assert settings == {"without rpc": ("middleware",), "without middleware": ("rpc",), "all off": "off"}


def test_a_short_run_can_be_asked_for() -> None:
    args = arguments(["--turns", "1", "--scale", "0.05", "--without", "all off", "--only", "hit"])
    assert (args.turns, args.scale, args.without) == (1, 0.05, ["all off"])
    assert arguments([]).without == list(WITHOUT)
    assert arguments([]).turns >= 5
    assert bench_bypass.WORKING_SET > 1000
    assert workloads.mid(1) != workloads.mid(1)
