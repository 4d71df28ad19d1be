"""Which replica a call goes to: the one that has the fewest calls from here. Made of Serve's public interface of
request routers (alpha), and there with every `serve_bypass`; only the replicas that it hands out may be our own."""

import asyncio
import logging
from contextlib import suppress
from typing import Any, Final

from ray.serve.request_router import (
    FIFOMixin,
    LocalityMixin,
    MultiplexMixin,
    PendingRequest,
    ReplicaID,
    RequestRouter,
    RunningReplica,
)

from app.dispatch.least_outstanding import LeastOutstanding
from deployments.serve_internals import probe

logger = logging.getLogger(__name__)

RETRY_S: Final = 1.0  # after Ray's control store did not say where a new replica is


class LeastOutstandingRouter(FIFOMixin, LocalityMixin, MultiplexMixin, RequestRouter):  # type: ignore[misc]
    """In place of Serve's "power of two choices": with two calls under way per replica, each a whole batch, of two
    drawn at random both are often busy while a third has nothing to do. Nor are Serve's numbers true enough: what a
    replica says when it accepts a call may count one that has just ended, and stands until the next call."""

    def initialize_state(self) -> None:
        self.calls: LeastOutstanding[ReplicaID] = LeastOutstanding()
        self._running: list[Any] = []
        self._meeting: asyncio.Task[None] | None = None

    def create_replica_wrapper(self, replica_info: Any) -> RunningReplica:
        if probe.why_not("rpc") is not None:
            return RunningReplica(replica_info)
        from deployments.serve_internals.rpc_replica import RpcReplica

        return RpcReplica(replica_info)

    def _update_running_replicas(self, running_replicas: list[Any]) -> None:
        """Those that left are dropped at once, and new ones are met beside the event loop: Serve asks Ray's control
        store (GCS) for each by a blocking call, which takes as long as that is away."""
        self._running = running_replicas
        super()._update_running_replicas([info for info in running_replicas if info.replica_id in self._replicas])
        if self._meeting is None or self._meeting.done():
            self._meeting = self._event_loop.create_task(self._meet())

    async def _meet(self) -> None:
        gone: set[Any] = set()
        while new := [info for info in self._running if info.replica_id not in {*self._replicas, *gone}]:
            try:
                met = await asyncio.to_thread(self._met, new)
            except Exception as error:  # noqa: BLE001 - whatever Ray raises when it can't be asked
                logger.warning("no way yet to %d new replicas: %r", len(new), error)
                await asyncio.sleep(RETRY_S)
                continue
            gone |= {info.replica_id for info in new} - {replica.replica_id for replica in met}
            wanted = {info.replica_id for info in self._running}
            self.update_replicas([*self._replicas.values(), *(one for one in met if one.replica_id in wanted)])

    def _met(self, infos: list[Any]) -> list[RunningReplica]:
        """Without those that have died: Serve will say so. Blocks."""
        met = []
        for info in infos:
            with suppress(ValueError):
                met.append(self.create_replica_wrapper(info))
        return met

    async def _choose_replica_for_request(
        self, pending_request: PendingRequest, *, is_retry: bool = False
    ) -> RunningReplica:
        """At once where nobody waits and all are well. Serve makes a task of each request, which asks `choose_replicas`
        and costs more than a look does."""
        # A Ray that counts them elsewhere has its own way.
        if not (is_retry or getattr(self, "_pending_requests_by_id", True)):
            near = self.apply_locality_routing(pending_request)
            if near and all(map(self._accepts, near)):
                return self._replicas[self.calls.fewest([*near])]
            pending_request.routing_context = type(pending_request.routing_context)()  # as if none had been tried
        return await super()._choose_replica_for_request(pending_request, is_retry=is_retry)

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """One rank: the best of those known to be well, which Serve takes, and the unknown, which it asks meanwhile."""
        near = self.apply_locality_routing(pending_request)
        well = [id_ for id_ in near if self._accepts(id_)]
        unknown = [self._replicas[id_] for id_ in near if id_ not in well]
        first = [self._replicas[self.calls.fewest(well)]] if well else []
        return [[*first, *unknown]] if near else []

    def update_replicas(self, replicas: list[RunningReplica]) -> None:
        """The RPC connection of a replica that is no longer among them ends with its last call."""
        for replica in self.curr_replicas.values():
            # Not by its class, of which Serve makes another in each process.
            if replica not in replicas and hasattr(replica, "close"):
                replica.close()
        probe.rpc_replicas.update(replica for replica in replicas if hasattr(replica, "close"))
        super().update_replicas(replicas)

    def on_send_request(self, replica_id: ReplicaID) -> None:
        super().on_send_request(replica_id)
        self.calls.left(replica_id)

    def on_request_completed(self, replica_id: ReplicaID, internal_request_id: str) -> None:
        super().on_request_completed(replica_id, internal_request_id)
        self.calls.ended(replica_id)
        if getattr(self._replicas.get(replica_id), "is_silent", False):
            # It may hang, and then it has the fewest calls of all: it is asked before it gets another.
            self.replica_queue_len_cache.invalidate_key(replica_id)

    def _accepts(self, replica_id: ReplicaID) -> bool:
        queued = self.replica_queue_len_cache.get(replica_id)
        return queued is not None and queued < self._replicas[replica_id].max_ongoing_requests
