from typing import Any

import pytest

from app.config.args import Placement
from app.config.settings import AppArgs
from app.local.resources import reserves, shortage

TWO = {"CPU": 2.0, "memory": 8.0 * 2**30}
TEXT = "sentence-transformers/all-MiniLM-L6-v2"


def of(**options: Any) -> AppArgs:
    return AppArgs(text_models=({"id": TEXT, **options},))


def six(**options: Any) -> AppArgs:
    return of(autoscaling={"min_replicas": 6, "max_replicas": 6}, **options)


def shares(share: float, replicas: int) -> AppArgs:
    return of(num_gpus=share, num_cpus=0.1, autoscaling={"min_replicas": replicas, "max_replicas": replicas})


@pytest.mark.parametrize("args", [AppArgs(), of(num_cpus=1.3), of(autoscaling={"max_replicas": 50}), six(num_cpus=0.1)])
def test_what_fits_is_not_refused(args: AppArgs) -> None:
    assert shortage(args, TWO) is None


@pytest.mark.parametrize(
    ("args", "has", "words"),
    [
        (AppArgs(text_models=tuple({"id": f"m{n}"} for n in range(5))), TWO, "needs 2.2 CPUs, there are 2. "),
        (six(), TWO, "needs 2.5 CPUs, there are 2. "),
        (of(autoscaling={"initial_replicas": 6, "max_replicas": 6}), TWO, "needs 2.5 CPUs, there are 2. "),
        (AppArgs(), {"CPU": 0.5}, "needs 1 CPU, there are 0.5. "),
        (of(num_gpus=1), TWO, "needs 1 GPU, there are 0. "),
        (of(num_gpus=2), TWO | {"GPU": 1.0}, "needs 2 GPUs, there is 1. "),
        (of(memory=64 * 2**30), TWO, "needs 64.0 GiB of memory, there are 8.0. "),
        # Two shares of 0.6 don't lie on one GPU.
        (shares(0.6, 3), TWO | {"GPU": 2.0}, "needs 3 GPUs, there are 2. "),
        (shares(0.6, 2), TWO | {"GPU": 1.0}, "needs 2 GPUs, there is 1. "),
        (shares(0.9, 4), TWO | {"GPU": 3.0}, "needs 4 GPUs, there are 3. "),
        (of(memory=8 * 2**30), {"CPU": 2.0, "memory": 7.96 * 2**30}, "needs 8.0 GiB of memory, there are 7.9. "),
        (of(memory=8 * 2**30 + 4096), TWO, "needs 8.1 GiB of memory, there are 8.0. "),
        (of(resources={"big": 1}), TWO, "needs 1 big, there are 0. "),
        (of(accelerator_type="T4"), TWO | {"GPU": 1.0, "accelerator_type:A100": 1.0}, "needs a GPU of the type T4"),
    ],
)
def test_what_is_too_little_is_told_in_a_line_with_a_remedy(args: AppArgs, has: dict[str, float], words: str) -> None:
    line = shortage(args, has)
    assert line is not None
    assert words in line
    assert "\n" not in line
    assert "Set fewer models" in line or "set no `accelerator_type`" in line


@pytest.mark.parametrize(
    ("share", "replicas", "gpus"), [(0.6, 3, 3), (0.5, 3, 2), (0.3, 3, 1), (1.0, 2, 2), (0.25, 5, 2)]
)
def test_shares_of_a_gpu_are_of_one_gpu(share: float, replicas: int, gpus: int) -> None:
    assert shortage(shares(share, replicas), TWO | {"GPU": float(gpus)}) is None
    assert shortage(shares(share, replicas), TWO | {"GPU": gpus - 1.0}) is not None


def test_what_a_replica_reserves() -> None:
    assert reserves(Placement(num_cpus=0.3, num_gpus=1, resources={"big": 2})) == "0.3 CPU, 1 GPU, 2 big"
    assert reserves(Placement(num_cpus=0)) == "nothing"
