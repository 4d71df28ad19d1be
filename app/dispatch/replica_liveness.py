"""Which replicas of a model were heard of lately, and which of them get on with their work.

That tells a replica that is slow, whose calls are waited for, from one that is frozen, cut off or hangs, whose calls
are made again elsewhere. A request can't be asked which replica has it: Serve does not say.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

# Who was not heard of for so long is given no more calls to carry.
SEEN_S = 10.0
# Longer than it takes to ask one that does not answer, and then another.
SILENT_S = 5.0


@dataclass(slots=True)
class _Replica:
    heard_at: float
    advanced_at: float
    batches: int


@dataclass(slots=True, eq=False)
class ReplicaLiveness:
    """Those of one model, as one ingress replica knows them. Whoever was not heard of for `memory_s` is forgotten:
    longer than any call, or one that is frozen with a call in it would not be missed."""

    memory_s: float
    clock: Callable[[], float] = time.monotonic
    _known: dict[str, _Replica] = field(default_factory=dict)

    def heard(self, name: str, batches: int) -> None:
        """It said that it has run so many batches since it began."""
        now = self.clock()
        self._known = {key: replica for key, replica in self._known.items() if replica.heard_at >= now - self.memory_s}
        replica = self._known.setdefault(name, _Replica(now, now, batches))
        replica.heard_at = now
        if batches != replica.batches:
            replica.batches, replica.advanced_at = batches, now

    def answered(self, name: str) -> None:
        """It has done a call."""
        now = self.clock()
        replica = self._known.setdefault(name, _Replica(now, now, 0))
        replica.heard_at = replica.advanced_at = now

    def __len__(self) -> int:
        """Those that seem to be there."""
        oldest = self.clock() - SEEN_S
        return sum(replica.heard_at >= oldest for replica in self._known.values())

    def any_alive(self) -> bool:
        """Whether one was heard of lately."""
        latest = self.clock() - SILENT_S
        return any(replica.heard_at > latest for replica in self._known.values())

    def all_progress(self) -> bool:
        """Whether each has lately run a batch: then a replica whose call takes long is at work, and none is missing."""
        latest = self.clock() - SILENT_S
        return bool(self._known) and all(replica.advanced_at > latest for replica in self._known.values())
