"""The capacity model's arithmetic, by hand."""

import pytest

from loadtests.capacity import Costs, Demand, Plan, expected, limits, plan

COSTS = Costs(
    hit_s=1e-4, shared_s=3e-4, miss_s=5e-4, lookup_s=2e-5, proxy_s=5e-5, tokens_per_s=20_000, answer_bytes=4000,
    ask_bytes=250,
)  # fmt: skip


def test_all_misses() -> None:
    demand = Demand(per_s=1000, tokens=20)
    # One model reads 1,000 texts/s, and is to be 70 % busy; an ingress half busy; the others hardly.
    assert plan(demand, COSTS) == Plan(encoders=2, ingresses=1, shards=1, proxies=1, megabits_per_s=34)
    assert limits(demand, COSTS) == pytest.approx(
        {"encoder": 1000, "ingress": 2000, "cache actor": 50_000, "HAProxy": 20_000, "link": 312_500}
    )


def test_hits_need_no_model() -> None:
    demand = Demand(per_s=100_000, tokens=20, near=0.8, shared=0.1)
    # Models read 10,000 texts/s; ingresses are busy for 0.8e-4 + 0.3e-4 + 0.5e-4 s a request; a fifth is looked up.
    assert plan(demand, COSTS) == Plan(encoders=15, ingresses=23, shards=1, proxies=8, megabits_per_s=3400)
    assert limits(Demand(1, 20, near=1.0), COSTS)["encoder"] == float("inf")


def test_exactly_enough_is_enough() -> None:
    assert plan(Demand(per_s=1400, tokens=20), COSTS).encoders == 2


def test_a_stand_in_is_bound_by_its_models_or_by_the_machine() -> None:
    assert expected(80, 4, cpu_s=2e-3, cpus=2) == 320
    assert expected(80, 16, cpu_s=2e-3, cpus=2) == 1000
