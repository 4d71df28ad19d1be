"""TextEncoder: one replica of one text model."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, TypeVar

from app.config.args import Backup, ModelArgs, ServeBypass, TracingArgs
from app.encoders.text import TextModel, load_text_model
from app.errors import ModelUnavailable, without_paths
from app.images.preprocessing import Preprocessing
from app.inference.model_threads import ModelThreads
from app.system.cpus import usable_cpus
from app.telemetry.start_steps import tell, telling
from app.telemetry.tracing import OFF, Origins
from app.types import ModelInfo, Span, TextInput
from deployments.engine import Engine
from deployments.messages import EncodeReply, EncoderStatus
from deployments.serve_internals.rpc import RpcEndpoint, serve_rpc
from deployments.telemetry import replica_name, reporter
from deployments.text_engine import TextEngine

logger = logging.getLogger(__name__)
STREAMS = 2  # they keep each other's CPUs busy; more would have few threads each, and memory of their own

M = TypeVar("M")


class TextEncoder:
    """Loads its model before it takes traffic. Without its model it answers every call with the reason, and other
    models are not affected; without a required one, and after any other failure, it ends, and Serve starts another."""

    rpc_methods: ClassVar[tuple[str, ...]] = ("encode_texts", "status")

    def __init__(
        self,
        args: ModelArgs,
        threads: int,
        offline: bool,
        backup: Backup | None = None,
        traces: TracingArgs = OFF,
        serve_bypass: ServeBypass = "auto",
    ) -> None:
        self._args = args
        self._serve_bypass = serve_bypass
        self._replica = replica_name()
        self._reporter = reporter(traces)
        self._threads = ModelThreads()
        self._texts: TextEngine | None = None
        self._engines: list[Engine] = []
        self._preprocessing: Preprocessing | None = None
        self._calls: RpcEndpoint | None = None
        self._suspects = asyncio.Lock()
        # Two models are seldom at their peak together, and an idle one should cost nothing: each has all CPUs.
        threads = threads or max(1, usable_cpus() // args.autoscaling.max_replicas)
        load = partial(self._load, threads=threads, offline=offline)
        loading = self._threads.exclusive.submit(load_with_backup, load, args, backup)
        with telling(args.name):
            model, note, self._reason = loading.result()
        if model is None:
            tell(f"{args.name} is NOT AVAILABLE: {self._reason}")
            if args.required:
                raise ModelUnavailable(f"{args.name} is required: {self._reason}", "model")
            return
        if note is not None:
            # What was configured as a fallback, or came with the product, is no alarm; the log has the reason.
            tell(note)
        self._begin(model, replace(model.info, note=note) if note else model.info)
        tell(f"{model.info.id}: ready")

    def _load(self, args: ModelArgs, threads: int, offline: bool) -> Any:
        """The model, or ModelUnavailable."""
        return load_text_model(args, threads=threads, offline=offline, streams=STREAMS, latency_profile=True)

    def _begin(self, model: Any, info: ModelInfo) -> None:
        self._begin_texts(model, info)

    def _begin_texts(self, model: TextModel, info: ModelInfo) -> TextEngine:
        self._texts = TextEngine(model, info, self._args, self._threads, self._replica, self._reporter.registry)
        self._engines.append(self._texts.engine)
        return self._texts

    async def record_replica_metadata(self) -> dict[str, Any]:
        """What Serve tells the callers of this replica."""
        self._calls, end = await serve_rpc(self, *self.rpc_methods, setting=self._serve_bypass)
        return end

    async def __del__(self) -> None:
        if self._calls is not None:
            await self._calls.close()
        await self._reporter.close()

    async def encode_texts(
        self, texts: Sequence[TextInput], timeout_s: float, origins: Origins | None = None, large: bool = False
    ) -> EncodeReply:
        """One outcome per text, in order. After `timeout_s` nobody waits for the rest. `large`: as in `Job`."""
        return await self._require().encode(texts, timeout_s, origins, large=large)

    async def encode_text_alone(self, text: TextInput) -> AsyncGenerator[EncodeReply | None]:
        """None when it begins, with nothing else of this kind beside it, then the outcome."""
        texts = self._require()
        async with self._suspects:
            yield None
            yield await texts.encode([text], float("inf"), exclusive=True)

    async def tokens(self, texts: Sequence[str], prompt: str | None, special: bool) -> Any:
        return await self._require().on_workers("tokens", texts, prompt, special)

    async def counts(self, texts: Sequence[TextInput]) -> Any:
        return await self._require().on_workers("counts", texts)

    async def decode(self, *args: Any) -> Any:
        return await self._require().on_workers("decode", *args)

    async def chunks(self, *args: Any) -> Any:
        return await self._require().on_workers("chunks", *args)

    async def pool_spans(self, text: str, spans: Sequence[Span], prompt: str | None) -> EncodeReply:
        return await self._require().pool_spans(text, spans, prompt)

    async def check_health(self) -> None:
        """Called by Serve, which replaces a replica for which this raises time and again."""
        if self._texts is not None:
            await self._texts.probe.check()

    async def status(self) -> EncoderStatus:
        return EncoderStatus(
            self._replica,
            self._texts.engine.info if self._texts is not None else None,
            self._reason,
            sum(engine.scheduler.items_run for engine in self._engines),
            sum(engine.scheduler.batches_run for engine in self._engines),
            self._preprocessing,
        )

    def _require(self) -> TextEngine:
        if self._texts is None:
            raise ModelUnavailable(f"{self._args.name} is unavailable: {self._reason}", "model")
        return self._texts


def load_with_backup(
    load: Callable[[ModelArgs], M], args: ModelArgs, backup: Backup | None
) -> tuple[M | None, str | None, str | None]:
    """(model, note, reason): why `args` is not available, and what serves instead, without paths: clients see both."""
    try:
        return load(args), None, None
    except ModelUnavailable as error:
        reason = without_paths(error.message)
        logger.warning("%s", error.message)
    if backup is None:
        return None, None, reason
    try:
        return load(backup.model), f"{args.name} is not available; {backup.note}.", reason
    except ModelUnavailable as error:
        return None, None, f"{reason} Its backup neither: {without_paths(error.message)}"
