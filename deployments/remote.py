"""The ingress's side of the other deployments: encoders and ranker as `app` knows them, calls on handles below."""

import asyncio
import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError
from ray.serve.handle import DeploymentHandle

from app.coalescing import Coalescer
from app.encoders.preprocess import Preprocessing
from app.entries import split
from app.errors import DeadlineExceeded, ModelUnavailable, Overloaded, ServiceError, Unavailable
from app.ranking import Ranking
from app.service import Encoded, ModelState, Stages
from app.types import Kind, Metric, ModelInfo, TextInput, Vector
from deployments.messages import EncodeReply, EncoderStatus

logger = logging.getLogger(__name__)

# One call runs, one is on its way or queued behind it: the model never waits for the network.
CALLS_PER_REPLICA = 2
REPLICA_SEEN_S = 10.0
ATTEMPTS = 3
STATUS_TIMEOUT_S = 2.0
LOADING_PERIOD_S = 0.25
READY_PERIOD_S = 1.0


class RemoteEncoder:
    """One model's deployment. Calls are coalesced; calls lost with a replica are made again elsewhere."""

    def __init__(self, id_: str, kinds: tuple[Kind, ...], handle: DeploymentHandle, deadline_s: float) -> None:
        self.kinds = kinds
        self._id = id_
        # A handle method is built anew at each attribute access: bound once here.
        self._encode_texts = handle.options(method_name="encode_texts")
        self._encode_images = handle.options(method_name="encode_images")
        self._status = handle.options(method_name="status")
        self._deadline_s = deadline_s
        self._state = ModelState(id_, "loading")
        self._preprocessing: Preprocessing | None = None
        self._replicas: dict[str, float] = {}
        self._texts: Coalescer[TextInput, Encoded] = Coalescer(partial(self._send, self._encode_texts), self._width)
        # A crop is 150 kB: fewer of them make a call.
        self._images: Coalescer[bytes, Encoded] = Coalescer(
            partial(self._send, self._encode_images), self._width, max_items=32, min_share=8
        )

    @property
    def state(self) -> ModelState:
        return self._state

    @property
    def preprocessing(self) -> Preprocessing | None:
        return self._preprocessing

    def encode_texts(self, texts: Sequence[TextInput]) -> Sequence["asyncio.Future[Encoded]"]:
        return self._texts.submit(texts)

    def encode_images(self, crops: Sequence[bytes]) -> Sequence["asyncio.Future[Encoded]"]:
        return self._images.submit(crops)

    async def watch(self) -> None:
        """Keep `state` true until cancelled."""
        while True:
            try:
                status: EncoderStatus = await asyncio.wait_for(self._status.remote(), STATUS_TIMEOUT_S)
            except Exception:  # noqa: BLE001 - no replica yet, or none any more: the state stays what it was
                status = None  # type: ignore[assignment]
            if status is not None:
                self._heard(status)
            await asyncio.sleep(READY_PERIOD_S if self._state.status == "ready" else LOADING_PERIOD_S)

    def _heard(self, status: EncoderStatus) -> None:
        self._replicas[status.replica] = time.monotonic()
        if status.info is not None:
            self._preprocessing = status.preprocessing
            self._set(ModelState(self._id, "ready", status.info, status.reason, status.items, status.batches))
        else:
            self._set(ModelState(self._id, "unavailable", None, status.reason))

    def _set(self, state: ModelState) -> None:
        if state.status != self._state.status:
            logger.info("model %s is %s%s", self._id, state.status, f": {state.reason}" if state.reason else "")
        self._state = state

    def _width(self) -> int:
        oldest = time.monotonic() - REPLICA_SEEN_S
        for replica in [name for name, seen in self._replicas.items() if seen < oldest]:
            del self._replicas[replica]
        return CALLS_PER_REPLICA * max(1, len(self._replicas))

    async def _send(self, method: Any, items: list[Any]) -> list[Encoded]:
        reply: EncodeReply = await _call(method, self._id, self._deadline_s, items, self._deadline_s)
        self._replicas[reply.replica] = time.monotonic()
        self._check_fingerprint(reply)
        stages = Stages(0.0, reply.prepare_ms, reply.queue_ms, reply.inference_ms, reply.batches)
        entries: list[bytes | ServiceError] = [*split(reply.packed, len(items))]
        for index, error in reply.errors.items():
            entries[index] = error
        return [Encoded(entry, stages) for entry in entries]

    def _check_fingerprint(self, reply: EncodeReply) -> None:
        """Vectors of other weights than the state says must not be kept under its fingerprint."""
        info: ModelInfo | None = self._state.info
        if info is not None and reply.fingerprint != info.fingerprint:
            self._set(ModelState(self._id, "loading"))
            raise ModelUnavailable(f"{self._id} was just replaced by another version. Try again.", "model", 1)


class RemoteRanker:
    def __init__(self, handle: DeploymentHandle, deadline_s: float) -> None:
        self._rank_json = handle.options(method_name="rank_json")
        self._rank = handle.options(method_name="rank")
        self._deadline_s = deadline_s

    async def rank_json(self, body: bytes) -> Ranking:
        ranking: Ranking = await _call(self._rank_json, "similarity", self._deadline_s, body)
        return ranking

    async def rank(
        self, query: Vector, candidates: Vector, metric: Metric, top_k: int | None, threshold: float | None
    ) -> Ranking:
        wanted = (query, candidates, metric, top_k, threshold)
        ranking: Ranking = await _call(self._rank, "similarity", self._deadline_s, *wanted)
        return ranking


async def _call(method: Any, name: str, deadline_s: float, *args: Any) -> Any:
    """Call a deployment; what a dying replica lost is sent again, within the deadline. All we do is idempotent.

    Raises:
        ServiceError: The deployment's own, or what its failure means to a client.
    """
    try:
        async with asyncio.timeout(deadline_s):
            for attempt in range(ATTEMPTS):
                try:
                    return await method.remote(*args)
                except RayActorError:
                    logger.warning("a replica of %s died with a call in it (attempt %d)", name, attempt + 1)
    except TimeoutError:
        raise DeadlineExceeded(f"{name} did not answer within {deadline_s:g} s.") from None
    except RayTaskError as error:
        if isinstance(error.cause, ServiceError):
            raise error.cause from None
        raise
    except BackPressureError:
        raise Overloaded(f"{name} has more requests than it can queue.", retry_after=1) from None
    raise Unavailable(f"{name} lost its replica {ATTEMPTS} times with this request in it.", retry_after=1)
