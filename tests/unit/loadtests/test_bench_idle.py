"""What an idle service's processes took, by name."""

import pytest

from loadtests.bench_idle import spent


def test_processes_of_one_name_are_added_and_new_ones_count_from_their_begin() -> None:
    replica = "ray::ServeReplica:embedding-service:TextEncoder-all-MiniLM-L6-v2"
    before = {1: (replica, 2.0), 2: ("haproxy -db -f", 1.0), 9: ("gone", 5.0)}
    after = {1: (replica, 2.5), 2: ("haproxy -db -f", 1.25), 3: (replica, 0.25), 4: ("raylet raylet", 0.5)}
    assert dict(spent(after, before)) == pytest.approx(
        {"TextEncoder": 0.75, "haproxy -db -f": 0.25, "raylet raylet": 0.5}
    )
