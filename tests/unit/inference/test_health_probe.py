"""`app.inference.health_probe`: device faults are found, long queues are none."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.inference.health_probe import FRESH_S, HUNG_S, HealthProbe
from tests.support.aio import Clock, until


class Device:
    """Counts tiny runs; raises `fault` where there is one."""

    def __init__(self) -> None:
        self.thread = ThreadPoolExecutor(1, "device")
        self.runs = 0
        self.fault: Exception | None = None

    def run(self) -> None:
        self.runs += 1
        if self.fault is not None:
            raise self.fault

    def busy(self) -> threading.Event:
        """Keeps the thread until it is set."""
        free = threading.Event()
        self.thread.submit(free.wait, 30)
        return free


def probe_of(device: Device, clock: Clock, wait_s: float = 10.0) -> HealthProbe:
    return HealthProbe(device.run, device.thread, clock, wait_s)


async def test_a_device_that_has_just_worked_is_not_probed() -> None:
    device, clock = Device(), Clock()
    probe = probe_of(device, clock)
    await probe.check()
    clock.now += FRESH_S
    await probe.check()
    assert device.runs == 1
    clock.now += FRESH_S
    with probe.watch():
        pass
    await probe.check()
    assert device.runs == 1


async def test_a_run_that_failed_asks_for_a_probe_though_others_end_well() -> None:
    device, clock = Device(), Clock()
    probe = probe_of(device, clock)
    with pytest.raises(ValueError, match="no"), probe.watch():
        raise ValueError("no")
    with probe.watch():
        pass
    device.fault = RuntimeError("numbers that are not finite")
    with pytest.raises(RuntimeError, match="not finite"):
        await probe.check()
    device.fault = None
    await probe.check()
    await probe.check()
    assert device.runs == 2  # none any more when one has ended well
    clock.now += HUNG_S + 1  # the failed one does not hang
    await probe.check()


async def test_a_run_that_hangs_is_seen_though_others_end_beside_it() -> None:
    device, clock = Device(), Clock()
    probe = probe_of(device, clock)
    hangs, ends = threading.Event(), threading.Event()

    def hang() -> None:
        with probe.watch():
            hangs.set()
            ends.wait(10)

    with ThreadPoolExecutor(1) as other:
        run_ = other.submit(hang)
        hangs.wait(10)
        clock.now += HUNG_S
        with probe.watch():
            pass
        await probe.check()
        clock.now += 0.001
        with pytest.raises(RuntimeError, match="not ended"):
            await probe.check()
        ends.set()
        run_.result()
    await probe.check()
    assert device.runs == 0


async def test_a_fault_fails_the_check_and_a_device_that_works_again_passes() -> None:
    device, clock = Device(), Clock()
    probe = probe_of(device, clock)
    clock.now += FRESH_S
    device.fault = RuntimeError("numbers that are not finite")
    for _ in range(3):
        with pytest.raises(RuntimeError, match="not finite"):
            await probe.check()
    device.fault = None
    await probe.check()
    await probe.check()
    assert device.runs == 4


async def test_a_long_queue_neither_fails_the_check_nor_holds_it_up() -> None:
    device, clock = Device(), Clock()
    probe = probe_of(device, clock, wait_s=0.0)
    free = device.busy()
    clock.now += HUNG_S
    for _ in range(3):
        await probe.check()
    assert device.runs == 0
    free.set()
    await until(lambda: device.runs > 0)
    probe.wait_s = 10.0
    await probe.check()
    assert device.runs == 1  # one waits, however often it was asked


async def test_a_device_that_ends_nothing_for_minutes_hangs() -> None:
    device, clock = Device(), Clock()
    probe = probe_of(device, clock, wait_s=0.0)
    free = device.busy()
    clock.now += HUNG_S + 1
    with pytest.raises(RuntimeError, match="no run"):
        await probe.check()
    free.set()
    probe.wait_s = 10.0
    await probe.check()
    await asyncio.sleep(0)
    assert device.runs == 1
