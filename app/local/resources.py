"""Whether one machine has what the least replicas of a service reserve; Serve would wait for more for ever."""

from collections.abc import Iterator, Mapping

from app.config.args import Placement
from app.config.settings import AppArgs

GIB = 2**30
# Ray counts in ten-thousandths.
STEP = 1e-4


def shortage(args: AppArgs, has: Mapping[str, float]) -> str | None:
    """What is too little, and what to change; None if all fits. `has`: the node's resources, as Ray names them."""
    replicas = [reserved for placement in _placements(args) for reserved in _each(placement)]
    for name in dict.fromkeys(name for reserved in replicas for name in reserved):
        wanted = [reserved[name] for reserved in replicas if reserved.get(name)]
        there = has.get(name, 0.0)
        if sum(wanted) > there + STEP or (name == "GPU" and _devices(wanted) > there):
            return _line(name, sum(wanted), there)
    return None


def _placements(args: AppArgs) -> tuple[Placement, ...]:
    return (*args.text_models, *args.image_models, args.ingress, args.similarity)


def reserves(placement: Placement) -> str:
    """What one replica reserves, in words."""
    given = {name: amount for name, amount in next(_each(placement)).items() if amount}
    return ", ".join(f"{amount:g} {name}" for name, amount in given.items()) or "nothing"


def _each(placement: Placement) -> Iterator[dict[str, float]]:
    """What each of the replicas that there are at least reserves."""
    reserved = {"CPU": placement.num_cpus, "GPU": placement.num_gpus, "memory": placement.memory or 0.0}
    reserved |= placement.resources
    if placement.accelerator_type is not None:
        reserved[f"accelerator_type:{placement.accelerator_type}"] = 0.001
    for _ in range(placement.autoscaling.min_replicas):
        yield reserved


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
        return (
            f"The service needs an accelerator of the type {name.partition(':')[2]}, and this machine has none. Take "
            "accelerator_type out of the settings, or start it where there is one."
        )
    if name == "memory":
        need, have, fewer = f"{wanted / GIB:.1f} GiB of memory", f"{there / GIB:.1f}", "a lower `memory`"
    else:
        unit = {"CPU": "CPU", "GPU": "GPU"}.get(name, f"`{name}`")
        plural = "s" if name in ("CPU", "GPU") and wanted != 1 else ""
        fewer = {"CPU": "a lower `num_cpus`", "GPU": "`num_gpus: 0`"}.get(name, f"no `{name}` in `resources`")
        need, have = f"{round(wanted, 4):g} {unit}{plural}", f"{there:g}"
    return (
        f"The service needs {need}, there {'is' if have == '1' else 'are'} {have}. "
        f"Set fewer models (TEXT_MODEL, IMAGE_MODEL), a lower `min_replicas` or {fewer} in the configuration file, or "
        "use a larger machine."
    )
