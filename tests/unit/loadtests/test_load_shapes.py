"""Shapes and verdicts of load tests: pure."""

from pathlib import Path

import pytest

from loadtests.load_plots import Second, by_users, read_history, read_replicas
from loadtests.load_shapes import users_at
from loadtests.load_verdict import Allowed, Seen

SEEN = Seen(requests=200, failures=2, p50_ms=5, p99_ms=80, per_s=20)


@pytest.mark.parametrize(
    ("shape", "users"),
    [
        ("steady", {0: 1, 5: 50, 10: 100, 99.9: 100, 100: None}),
        ("step", {0: 20, 19.9: 20, 20: 40, 80: 100, 100: None}),
        ("spike", {0: 10, 39.9: 10, 40: 100, 59.9: 100, 60: 10, 100: None}),
        ("soak", {0: 1, 10: 50, 99: 50, 100: None}),
    ],
)
def test_users_over_time(shape: str, users: dict[float, int | None]) -> None:
    assert {at: users_at(shape, at, 100, 100) for at in users} == users


def test_a_run_without_requests_fails() -> None:
    assert Allowed(failed_share=1.0).broken_by(Seen(0, 0, 0, 0, 0)) == ["no request was answered"]


@pytest.mark.parametrize(
    ("allowed", "words"),
    [
        (Allowed(failed_share=0.01), []),
        (Allowed(), ["2 of 200 failed, 0.00% may"]),
        (Allowed(0.01, p50_ms=4), ["p50 was 5 ms, at most 4 is allowed"]),
        (Allowed(0.01, p99_ms=79), ["p99 was 80 ms, at most 79 is allowed"]),
        (Allowed(0.01, least_per_s=21), ["20.0 requests/s, at least 21 are asked for"]),
        (Allowed(0.01, p50_ms=5, p99_ms=80, least_per_s=20), []),
    ],
)
def test_thresholds(allowed: Allowed, words: list[str]) -> None:
    assert allowed.broken_by(SEEN) == words


def test_what_the_pictures_are_made_of(tmp_path: Path) -> None:
    head = "Timestamp,User Count,Type,Name,Requests/s,Failures/s,50%,95%,99%"
    rows = ["1,4,,Aggregated,0,0,N/A,N/A,N/A", "2,4,,Aggregated,10,0,3,5,9", "3,4,POST,search,9,0,1,1,1"]
    rows += ["3,4,,Aggregated,20,0,5,7,11", "4,8,,Aggregated,30,1,6,8,12"]
    (tmp_path / "history.csv").write_text("\n".join([head, *rows]))
    seconds = read_history(tmp_path / "history.csv")
    assert [s.time for s in seconds] == [2, 3, 4]
    assert by_users(seconds) == [
        Second(0.0, 4, 15, 0, {50: 4, 95: 6, 99: 10}),
        Second(0.0, 8, 30, 1, {50: 6, 95: 8, 99: 12}),
    ]
    (tmp_path / "replicas.csv").write_text("time,deployment,replicas\n1.5,A,1\n2.5,A,2\n2.5,B,1\n")
    assert read_replicas(tmp_path / "replicas.csv") == {"A": [(1.5, 1), (2.5, 2)], "B": [(2.5, 1)]}
