"""Whether one machine has what the least replicas of a service reserve; Serve would wait for more for ever."""

from collections.abc import Mapping
from math import ceil, floor

from app.config.args import Placement
from app.config.settings import AppArgs

STEP = 1e-4  # Ray counts in ten-thousandths
FEWER = {"CPU": "a lower `num_cpus`", "GPU": "`num_gpus: 0`", "memory": "a lower `memory`"}


def shortage(args: AppArgs, has: Mapping[str, float]) -> str | None:
    """What is too little, and what to change; None if all fits. `has`: the node's resources, as Ray names them."""
    placements = (*args.models(), args.ingress, args.similarity)
    replicas = [_reserved(each) for each in placements for _ in range(each.autoscaling.first)]
    for name in dict.fromkeys(name for reserved in replicas for name in reserved):
        wanted = [reserved.get(name, 0.0) for reserved in replicas]
        there = has.get(name, 0.0)
        # Of a GPU, whose parts may not suffice although their sum does, whole ones are told.
        need = max(sum(wanted), _devices(wanted) if name == "GPU" else 0.0)
        if need > there + STEP:
            return _line(name, need, there)
    return None


def reserves(placement: Placement) -> str:
    """What one replica reserves, in words."""
    return ", ".join(f"{amount:g} {name}" for name, amount in _reserved(placement).items()) or "nothing"


def _reserved(placement: Placement) -> dict[str, float]:
    reserved = {"CPU": placement.num_cpus, "GPU": placement.num_gpus, "memory": placement.memory or 0.0}
    reserved |= placement.resources
    if placement.accelerator_type is not None:
        reserved[f"accelerator_type:{placement.accelerator_type}"] = 0.001
    return {name: amount for name, amount in reserved.items() if amount}


def _devices(wanted: list[float]) -> int:
    """How many devices these shares take: one of less than a whole lies on one device."""
    left: list[float] = []
    for share in sorted((share % 1 for share in wanted if share % 1 > STEP), reverse=True):
        place = next((i for i, room in enumerate(left) if room >= share - STEP), None)
        if place is None:
            left.append(1.0 - share)
        else:
            left[place] -= share
    return len(left) + sum(int(share + STEP) for share in wanted)


def _line(name: str, wanted: float, there: float) -> str:
    if name.startswith("accelerator_type:"):
        kind = name.partition(":")[2]
        return f"The service needs a GPU of the type {kind}, and this machine has none: set no `accelerator_type`."
    need, have = f"{round(wanted, 4):g} {name}{'s' if name in ('CPU', 'GPU') and wanted != 1 else ''}", f"{there:g}"
    if name == "memory":
        # Rounded apart: never "needs 8.0, there are 8.0".
        need, have = f"{ceil(wanted / 2**30 * 10) / 10:.1f} GiB of memory", f"{floor(there / 2**30 * 10) / 10:.1f}"
    return (
        f"The service needs {need}, there {'is' if have == '1' else 'are'} {have}. Set fewer models (TEXT_MODEL, "
        f"IMAGE_MODEL), a lower `min_replicas` or {FEWER.get(name, f'no `{name}` in `resources`')} in the "
        "configuration file, or use a larger machine."
    )
