"""CPU seconds of a service that nobody asks for anything, by process. Run: `make bench-idle`."""

import time
from typing import Final

from loadtests.measuring import load
from loadtests.systems import machine, this_service

SETTLE_S: Final = 20.0
SAMPLE_S: Final = 60.0


def main() -> None:
    with this_service("shapes-clip") as service:
        time.sleep(SETTLE_S)
        before = service.cpu_by_process()
        time.sleep(SAMPLE_S)
        after = service.cpu_by_process()
    spent = {pid: seconds - before[pid][1] for pid, (_, seconds) in after.items() if pid in before}
    print(machine(), f"load {load()}")
    print(f"{sum(spent.values()):6.2f} s in {SAMPLE_S:.0f} s")
    for pid, seconds in sorted(spent.items(), key=lambda one: -one[1]):
        print(f"{seconds:6.2f} {after[pid][0]}")


if __name__ == "__main__":
    main()
