"""Whether a model's device still works: requests show it, and where there are none, a tiny run of the probe's own.
A long queue is no fault: the probe waits a bounded time, and then the last result stands."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field

# A run that ended this recently is proof enough.
FRESH_S = 30.0
# No run takes this long: one that has not ended by then hangs.
HUNG_S = 120.0


@dataclass(slots=True, eq=False)
class HealthProbe:
    """One per device, which is the thread that `run` runs on.

    Args:
        run: Runs the model on a tiny input in each of its profiles. Raises on a fault, also on numbers not finite.
        wait_s: How long a health check waits for its probe, which stands behind runs that were there before.
    """

    run: Callable[[], object]
    device: Executor
    clock: Callable[[], float] = time.monotonic
    wait_s: float = 2.0
    _worked_at: float = field(init=False)
    _doubted: bool = field(init=False, default=False)  # a run has failed, by a fault of its input or of the device
    _began: dict[int, float] = field(init=False, default_factory=dict)  # of each thread that runs the model now
    _probe: "asyncio.Future[object] | None" = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._worked_at = self.clock()

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Entered around every run of the model, on its thread; after one that raises, the next check probes."""
        thread = threading.get_ident()
        self._began[thread] = self.clock()
        try:
            yield
            self._worked_at = self.clock()
        except BaseException:
            self._doubted = True
            raise
        finally:
            del self._began[thread]

    async def check(self) -> None:
        """Raise what the device raised, or RuntimeError if it hangs."""
        # A copy in one step: the model's threads change it.
        if any(self.clock() - began > HUNG_S for began in [*self._began.values()]):
            raise RuntimeError(f"a run of the model has not ended for {HUNG_S:g} s")
        if self.clock() - self._worked_at < FRESH_S and not self._doubted:
            return
        if self._probe is None:
            self._probe = asyncio.get_running_loop().run_in_executor(self.device, self.run)
        await asyncio.wait({self._probe}, timeout=self.wait_s)
        if self._probe.done():
            probe, self._probe = self._probe, None
            probe.result()
            self._worked_at, self._doubted = self.clock(), False
        elif self.clock() - self._worked_at > HUNG_S:
            raise RuntimeError(f"no run of the model has ended for {HUNG_S:g} s")
