"""The ingress's side of an encoder deployment: an encoder as `app` knows it, calls on handles below."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import Any

from ray.serve.handle import DeploymentHandle

from app.cache.entry import split
from app.config.args import Limits, ModelArgs
from app.dispatch.adaptive_timeout import AdaptiveTimeout
from app.dispatch.admission import IMAGE_UNITS, TOKEN_CHARACTERS, AdmissionControl, image_units, in_full, text_units
from app.dispatch.coalescer import Coalescer
from app.dispatch.replica_liveness import ReplicaLiveness
from app.dispatch.request_queue import Pending
from app.dispatch.retry import ReplicaLost, Retrier, RetryBudget
from app.errors import ModelUnavailable, Overloaded, ServiceError
from app.images.preprocessing import Preprocessing
from app.service.encoder import Encoded, ModelState, Stages
from app.telemetry import tracing
from app.telemetry.tracing import Origins, Traced
from app.types import ModelInfo, Span, TextInput, Token
from app.words import Kind, Modality
from deployments.messages import EncodeReply, EncoderStatus
from deployments.remote_call import ATTEMPT_SHARE, again, alone, once
from deployments.serve_internals.running_config import most_replicas

logger = logging.getLogger(__name__)

CALLS_PER_REPLICA = 2  # one runs, one is on its way or queued: the model never waits for the network
STREAMS = 2  # a text model runs so many micro-batches at once, each of its part of `batch_tokens`
# Texts, crops and replies are plain data: what Serve uses otherwise is made for code, and slower.
PICKLED = {"request_serialization": "pickle", "response_serialization": "pickle"}
STATUS_TIMEOUT_S = 2.0
LOADING_PERIOD_S = 0.25
READY_PERIOD_S = 1.0
IDLE_PERIOD_S = 8.0  # while nothing is sent to the model; less than `replica_liveness` remembers


class RemoteEncoder:
    """One model's deployment. Calls are coalesced; what was lost with a replica is tried again. Where fewer replicas
    are known than it may have, calls for the others are made too, so that Serve sees what waits."""

    def __init__(
        self,
        model: ModelArgs,
        kinds: tuple[Kind, ...],
        handle: DeploymentHandle,
        limits: Limits,
        budget: RetryBudget,
    ) -> None:
        self.kinds = kinds
        self._id = model.name
        self._handle = handle
        # A handle method is built anew at each attribute access: bound once here.
        self._tokens = handle.options(method_name="tokens")
        self._status = handle.options(method_name="status")
        self._limits = limits
        self._budget = budget
        self._configured = model.autoscaling.max_replicas
        self.state = ModelState(self._id, "loading")
        self._answers = True
        self._used = asyncio.Event()
        self.preprocessing: Preprocessing | None = None
        self._replicas = ReplicaLiveness(memory_s=2 * limits.deadline_s)
        self._retriers: list[Retrier[Any, Encoded]] = []
        most, characters = model.batch_size, model.batch_tokens // STREAMS * TOKEN_CHARACTERS
        self._texts: Coalescer[TextInput | Traced[TextInput], Encoded] = self._coalescer(
            "text", text_units, most, characters, max(512, most)
        )
        # A crop is 150 kB: fewer of them make a call.
        self._images: Coalescer[bytes | Traced[bytes], Encoded] = self._coalescer(
            "image", image_units, 8, 8 * IMAGE_UNITS, 32
        )

    @property
    def waiting(self) -> int:
        return len(self._texts) + len(self._images)

    @property
    def retried(self) -> int:
        return sum(retrier.retried for retrier in self._retriers)

    def refusal(self, kind: Kind) -> Overloaded | None:
        return (self._images if kind == "image" else self._texts).refusal()

    def encode_texts(self, texts: Sequence[TextInput]) -> Sequence["asyncio.Future[Encoded]"]:
        self._used.set()
        return self._texts.submit(tracing.carrying(texts))

    def encode_images(self, crops: Sequence[bytes]) -> Sequence["asyncio.Future[Encoded]"]:
        self._used.set()
        return self._images.submit(tracing.carrying(crops))

    def trim(self) -> None:
        self._texts.trim()
        self._images.trim()

    async def tokens(self, texts: Sequence[str], prompt: str | None, special: bool) -> list[list[Token]]:
        tokens: list[list[Token]] = await again(
            self._tokens, self._id, self._limits.deadline_s, self._budget, texts, prompt, special
        )
        return tokens

    async def counts(self, texts: Sequence[TextInput]) -> Any:
        return await self._again("counts", ATTEMPT_SHARE, texts)

    async def decode(self, *args: Any) -> Any:
        return await self._again("decode", ATTEMPT_SHARE, *args)

    async def chunks(self, *args: Any) -> list[list[Span]]:
        spans: list[list[Span]] = await self._again("chunks", ATTEMPT_SHARE, *args)
        return spans

    def track(self, documents: Sequence[str]) -> AbstractContextManager[None]:
        return self._texts.admission.track(in_full(documents))

    async def pool_spans(self, text: str, spans: Sequence[Span], prompt: str | None) -> list[Encoded]:
        return self._outcomes(await self._again("pool_spans", 1.0, text, spans, prompt), len(spans), None)

    async def _again(self, method: str, share: float, *args: Any) -> Any:
        called = self._handle.options(method_name=method)
        return await again(called, self._id, self._limits.deadline_s, self._budget, *args, share=share)

    async def watch(self) -> None:
        """Keep `state` true until cancelled."""
        while True:
            try:
                async with asyncio.timeout(STATUS_TIMEOUT_S):
                    status: EncoderStatus = await self._status.remote()
            except Exception as error:  # noqa: BLE001 - no replica yet, or none any more: the state stays what it was
                if self._answers:
                    logger.info("no replica of %s says how it is: %r", self._id, error)
                self._answers = False
            else:
                self._answers = True
                self._heard(status)
            ready_s = max(LOADING_PERIOD_S, READY_PERIOD_S / max(1, len(self._replicas)))
            ready = self.state.status == "ready" and self._answers
            await asyncio.sleep(ready_s if ready else LOADING_PERIOD_S)
            if ready and not self.waiting:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._used.wait(), IDLE_PERIOD_S / max(1, len(self._replicas)) - ready_s)
            self._used.clear()

    def _heard(self, status: EncoderStatus) -> None:
        self._replicas.heard(status.replica, status.batches)
        if status.info is not None:
            self.preprocessing = status.preprocessing
            self._set(ModelState(self._id, "ready", status.info, status.reason, status.items, status.batches))
        else:
            self._set(ModelState(self._id, "unavailable", None, status.reason))

    def _set(self, state: ModelState) -> None:
        if state.status != self.state.status:
            logger.info("model %s is %s%s", self._id, state.status, f": {state.reason}" if state.reason else "")
        self.state = state

    def _width(self) -> int:
        return CALLS_PER_REPLICA * max(1, len(self._replicas))

    def _max_width(self) -> int:
        """By what runs: an operator's `deployments` may say other than the arguments."""
        return CALLS_PER_REPLICA * (most_replicas(self._handle) or self._configured)

    def _coalescer(
        self, reads: Modality, cost: Callable[[Sequence[Any]], int], full: int, full_units: int, max_items: int
    ) -> Coalescer[Any, Encoded]:
        method = self._handle.options(method_name=f"encode_{reads}s", **PICKLED)
        alone = self._handle.options(method_name=f"encode_{reads}_alone", stream=True)

        def cost_plain(items: Sequence[Any]) -> int:
            return cost(tracing.carried(items)[0])

        limits = self._limits
        admission: AdmissionControl[Any] = AdmissionControl(self._id, cost_plain, limits.queue_s, limits.deadline_s)
        by_one, together = partial(self._send_alone, alone), partial(self._send_again, method)
        retrier: Retrier[Any, Encoded] = Retrier(by_one, together, self._budget, full)
        self._retriers.append(retrier)

        def retry(error: Exception, lost: Sequence[Pending[Any, Encoded]]) -> bool:
            if isinstance(error, ReplicaLost):
                retrier.take(error, lost)
            return isinstance(error, ReplicaLost)

        send = partial(self._send, method, admission)
        return Coalescer(send, self._width, admission, max_items, full, full_units, self._max_width, retry)

    async def _send(
        self, method: Any, admission: AdmissionControl[Any], items: list[Any], seconds: float, large: bool
    ) -> list[Encoded]:
        self._budget.earn(len(items))
        plain, origins = tracing.carried(items)
        timeout = AdaptiveTimeout(min(seconds, admission.call_timeout_s()), seconds, self._replicas.all_progress)
        # Said of large ones only: during a rollout, a replica of an older version does not know of it.
        kind = (True,) if large else ()
        try:
            reply: EncodeReply = await once(method, self._id, timeout, plain, seconds, origins, *kind)
        except ReplicaLost as loss:
            if not loss.silent or self._replicas.any_alive():
                raise
            # The call waits for a replica to come, and harms none: it stays whole.
            seconds -= loss.after_s
            reply = await once(method, self._id, AdaptiveTimeout(seconds), plain, seconds, origins, *kind)
        return self._outcomes(reply, len(items), origins)

    async def _send_again(self, method: Any, items: list[Any], seconds: float) -> list[Encoded]:
        plain, origins = tracing.carried(items)
        reply = await once(method, self._id, AdaptiveTimeout(seconds), plain, seconds, origins)
        return self._outcomes(reply, len(items), origins)

    async def _send_alone(self, method: Any, item: Any, seconds: float) -> Encoded:
        [plain], origins = tracing.carried([item])
        [outcome] = self._outcomes(await alone(method, self._id, seconds, plain), 1, origins)
        return outcome

    def _outcomes(self, reply: EncodeReply, count: int, origins: Origins | None) -> list[Encoded]:
        self._replicas.answered(reply.replica)
        self._check_fingerprint(reply)
        stages = Stages(0.0, reply.prepare_ms, reply.queue_ms, reply.inference_ms, reply.batches)
        entries: list[bytes | ServiceError] = [*split(reply.packed, count, reply.sizes)]
        for index, error in reply.errors.items():
            entries[index] = error
        if origins is not None:
            asked = [position or None for position, times in origins for _ in range(times)]
            return [Encoded(entry, stages, origin) for entry, origin in zip(entries, asked, strict=True)]
        return [Encoded(entry, stages) for entry in entries]

    def _check_fingerprint(self, reply: EncodeReply) -> None:
        """Vectors of other weights than the state says must not be kept under its fingerprint."""
        info: ModelInfo | None = self.state.info
        if info is not None and reply.fingerprint != info.fingerprint:
            self._set(ModelState(self._id, "loading"))
            raise ModelUnavailable(f"{self._id} was just replaced by another version. Try again.", "model", 1)
