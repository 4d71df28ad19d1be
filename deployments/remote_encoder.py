"""The ingress's side of the other deployments: encoders and ranker as `app` knows them, calls on handles below."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray
from ray.serve.handle import DeploymentHandle

from app.cache.entry import split
from app.config.args import Limits
from app.dispatch.adaptive_timeout import AdaptiveTimeout
from app.dispatch.admission import AdmissionControl, image_units, text_units
from app.dispatch.coalescer import Coalescer
from app.dispatch.replica_liveness import ReplicaLiveness
from app.dispatch.retry import ReplicaLost, Retrier
from app.dispatch.retry_budget import RetryBudget
from app.errors import ModelUnavailable, Overloaded, ServiceError
from app.images.preprocessing import Preprocessing
from app.schemas import MatrixOptions
from app.service.embedding_service import Encoded, ModelState, Stages
from app.telemetry import tracing
from app.telemetry.tracing import Origins, Traced
from app.types import Modality, ModelInfo, SimilarityMetric, TextInput, Token, Vector
from app.vectors.ranking import Ranking
from deployments.messages import EncodeReply, EncoderStatus
from deployments.remote_call import again, alone, once

logger = logging.getLogger(__name__)

# One call runs, one is on its way or queued behind it: the model never waits for the network.
CALLS_PER_REPLICA = 2
# The other side maps what is in the object store, without a copy; a small matrix is quicker in the message.
BY_REFERENCE_BYTES = 2**20
# Texts, crops and replies are plain data: what Serve uses otherwise is made for code, and slower.
PICKLED = {"request_serialization": "pickle", "response_serialization": "pickle"}
STATUS_TIMEOUT_S = 2.0
LOADING_PERIOD_S = 0.25
READY_PERIOD_S = 1.0


class RemoteEncoder:
    """One model's deployment. Calls are coalesced; what was lost with a replica is tried again, each item alone."""

    def __init__(
        self,
        id_: str,
        kinds: tuple[Modality, ...],
        handle: DeploymentHandle,
        limits: Limits,
        budget: RetryBudget,
        batch_size: int,
    ) -> None:
        self.kinds = kinds
        self._id = id_
        self._handle = handle
        # A handle method is built anew at each attribute access: bound once here.
        self._tokens = handle.options(method_name="tokens")
        self._status = handle.options(method_name="status")
        self._limits = limits
        self._budget = budget
        self._state = ModelState(id_, "loading")
        self._preprocessing: Preprocessing | None = None
        self._replicas = ReplicaLiveness(memory_s=2 * limits.deadline_s)
        self._rescues: list[Retrier[Any, Encoded]] = []
        self._texts: Coalescer[TextInput | Traced[TextInput], Encoded] = self._lane(
            "text", text_units, full=batch_size, max_items=max(512, batch_size)
        )
        # A crop is 150 kB: fewer of them make a call.
        self._images: Coalescer[bytes | Traced[bytes], Encoded] = self._lane("image", image_units, max_items=32, full=8)

    @property
    def state(self) -> ModelState:
        return self._state

    @property
    def waiting(self) -> int:
        return len(self._texts) + len(self._images)

    @property
    def retried(self) -> int:
        return sum(retry.retried for retry in self._rescues)

    @property
    def preprocessing(self) -> Preprocessing | None:
        return self._preprocessing

    def refusal(self, kind: Modality) -> Overloaded | None:
        """What `encode_texts` or `encode_images` would raise for a single one."""
        return (self._texts if kind == "text" else self._images).refusal()

    def encode_texts(self, texts: Sequence[TextInput]) -> Sequence["asyncio.Future[Encoded]"]:
        """Raises Overloaded if these can't be answered in time, because of what waits already."""
        return self._texts.submit(tracing.carrying(texts))

    def encode_images(self, crops: Sequence[bytes]) -> Sequence["asyncio.Future[Encoded]"]:
        """Raises Overloaded, as `encode_texts`."""
        return self._images.submit(tracing.carrying(crops))

    def trim(self) -> None:
        self._texts.trim()
        self._images.trim()

    async def tokens(self, texts: Sequence[str], prompt: str | None, special: bool) -> list[list[Token]]:
        tokens: list[list[Token]] = await again(self._tokens, self._id, self._limits.deadline_s, texts, prompt, special)
        return tokens

    async def watch(self) -> None:
        """Keep `state` true until cancelled."""
        while True:
            try:
                status: EncoderStatus = await asyncio.wait_for(self._status.remote(), STATUS_TIMEOUT_S)
            except Exception:  # noqa: BLE001 - no replica yet, or none any more: the state stays what it was
                status = None  # type: ignore[assignment]
            if status is not None:
                self._heard(status)
            ready_s = max(LOADING_PERIOD_S, READY_PERIOD_S / max(1, len(self._replicas)))
            await asyncio.sleep(ready_s if self._state.status == "ready" else LOADING_PERIOD_S)

    def _heard(self, status: EncoderStatus) -> None:
        self._replicas.heard(status.replica, status.batches)
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
        return CALLS_PER_REPLICA * max(1, len(self._replicas))

    def _lane(self, kind: Modality, cost: Callable[[Sequence[Any]], int], **sizes: int) -> Coalescer[Any, Encoded]:
        method = self._handle.options(method_name=f"encode_{kind}s", **PICKLED)
        one = self._handle.options(method_name=f"encode_{kind}_alone", stream=True)
        deadline_s = self._limits.deadline_s

        def cost_plain(items: Sequence[Any]) -> int:
            return cost(tracing.carried(items)[0])

        admission: AdmissionControl[Any] = AdmissionControl(self._id, cost_plain, self._limits.queue_s, deadline_s)
        retry: Retrier[Any, Encoded] = Retrier(partial(self._send_alone, one), self._budget)

        self._rescues.append(retry)

        def take(error: Exception, lost: "list[tuple[Any, asyncio.Future[Encoded]]]") -> bool:
            if not isinstance(error, ReplicaLost):
                return False
            retry.take(lost, retry.clock() + deadline_s - error.after_s)
            return True

        return Coalescer(partial(self._send, method, admission), self._width, admission, retry=take, **sizes)

    async def _send(self, method: Any, admission: AdmissionControl[Any], items: list[Any]) -> list[Encoded]:
        self._budget.earn(len(items))
        sent = admission.clock()
        plain, origins = tracing.carried(items)
        deadline_s = self._limits.deadline_s
        patience = AdaptiveTimeout(admission.patience_s(), deadline_s, self._replicas.all_get_on)
        try:
            reply: EncodeReply = await once(method, self._id, patience, plain, deadline_s, origins)
        except ReplicaLost as loss:
            if not loss.silent or self._replicas.anybody():
                raise
            # The call waits for a replica to come, and harms none: it stays whole.
            reply = await once(method, self._id, AdaptiveTimeout(deadline_s - loss.after_s), plain, deadline_s, origins)
        admission.ignore_outage(sent, admission.clock() - reply.took_ms / 1e3)
        return self._outcomes(reply, len(items), origins)

    async def _send_alone(self, method: Any, item: Any, seconds: float) -> Encoded:
        [plain], origins = tracing.carried([item])
        [outcome] = self._outcomes(await alone(method, self._id, seconds, plain), 1, origins)
        return outcome

    def _outcomes(self, reply: EncodeReply, count: int, origins: Origins | None) -> list[Encoded]:
        self._replicas.answered(reply.replica)
        self._check_fingerprint(reply)
        stages = Stages(0.0, reply.prepare_ms, reply.queue_ms, reply.inference_ms, reply.batches)
        entries: list[bytes | ServiceError] = [*split(reply.packed, count)]
        for index, error in reply.errors.items():
            entries[index] = error
        if origins is not None:
            asked = [position or None for position, times in origins for _ in range(times)]
            return [Encoded(entry, stages, origin) for entry, origin in zip(entries, asked, strict=True)]
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
        self._rank_small = handle.options(method_name="rank_matrix")
        self._rank_large = handle.options(method_name="rank_matrix", _by_reference=True)
        self._rank = handle.options(method_name="rank")
        self._deadline_s = deadline_s

    async def rank_json(self, body: bytes) -> Ranking:
        ranking: Ranking = await again(self._rank_json, "similarity", self._deadline_s, body)
        return ranking

    async def rank_matrix(
        self, body: NDArray[np.uint8], shape: tuple[int, int] | None, options: MatrixOptions
    ) -> Ranking:
        method, sent = self._rank_small, body
        if len(body) >= BY_REFERENCE_BYTES:
            # In a thread: other requests need not wait while it is copied into the object store.
            method, sent = self._rank_large, await asyncio.to_thread(ray.put, body)
        ranking: Ranking = await again(method, "similarity", self._deadline_s, sent, shape, options)
        return ranking

    async def rank(
        self, query: Vector, candidates: Vector, metric: SimilarityMetric, top_k: int | None, threshold: float | None
    ) -> Ranking:
        wanted = (query, candidates, metric, top_k, threshold)
        ranking: Ranking = await again(self._rank, "similarity", self._deadline_s, *wanted)
        return ranking
