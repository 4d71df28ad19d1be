"""TextEncoder: one replica of one text model. Tokenise → scheduler → `@serve.batch` (or alone) → model."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from app.config.args import Backup, ModelArgs, ServeBypass, TracingArgs
from app.encoders import TextTower, load_text_model, shapes
from app.errors import InvalidItem, ModelUnavailable, ServiceError
from app.inference.batch_queue import BatchQueue
from app.inference.health_probe import HealthProbe
from app.inference.model_threads import ModelThreads
from app.telemetry.registry import Registry
from app.telemetry.tracing import OFF, Origins
from app.types import ModelInfo, TextInput, Token
from deployments.encoder_replica import load_with_backup, noted
from deployments.engine import Engine, replica_name
from deployments.logs import join_serve_log
from deployments.messages import EncodeReply, EncoderStatus
from deployments.serve_internals.rpc import RpcEndpoint, serve_rpc
from deployments.telemetry import begin_traces, end_traces, reporter

# Runs at once, at most. Two keep each other's CPUs busy; of more each would have few threads, and memory of its own.
STREAMS = 2
# Tokenising fewer texts than this costs less than handing them to a thread.
INLINE_TEXTS = 4


class TextEncoder:
    """Loads its model before it takes traffic. A model that can't be had is told to whoever asks, and does not
    take the other models down with it; any other failure ends the replica, and Serve starts another.
    """

    def __init__(
        self,
        args: ModelArgs,
        threads: int,
        offline: bool,
        backup: Backup | None = None,
        traces: TracingArgs = OFF,
        serve_bypass: ServeBypass = "auto",
    ) -> None:
        self._id = args.name
        self._serve_bypass = serve_bypass
        self._replica = replica_name()
        join_serve_log()
        begin_traces(traces)
        self._reporter = reporter()
        self._texts: TextEngine | None = None
        self._calls: RpcEndpoint | None = None
        self._suspects = asyncio.Lock()
        load = partial(load_text_model, threads=threads, offline=offline, streams=STREAMS, or_alone=True)
        model_threads = ModelThreads()
        model, note, self._reason = model_threads.exclusive.submit(load_with_backup, load, args, backup).result()
        if model is not None:
            info = noted(model.info, note)
            self._texts = TextEngine(model, info, args, model_threads, self._replica, self._reporter.registry)

    async def record_replica_metadata(self) -> dict[str, Any]:
        """What Serve tells those who call this replica."""
        self._calls, end = await serve_rpc(self, "encode_texts", setting=self._serve_bypass)
        return end

    async def __del__(self) -> None:
        if self._calls is not None:
            await self._calls.close()
        await self._reporter.close()
        await end_traces()

    async def encode_texts(
        self, texts: Sequence[TextInput], timeout_s: float, origins: Origins | None = None
    ) -> EncodeReply:
        """One outcome per text, in order. `timeout_s`: after that nobody waits for the rest any more."""
        return await self._require().encode(texts, timeout_s, origins)

    async def encode_text_alone(self, text: TextInput) -> AsyncGenerator[EncodeReply | None]:
        """None when it begins, with nothing else of this kind beside it, then the outcome."""
        texts = self._require()
        async with self._suspects:
            yield None
            yield await texts.encode_alone(text)

    async def tokens(self, texts: Sequence[str], prompt: str | None, special: bool) -> list[list[Token]]:
        """What each text is made of, in order."""
        return await self._require().tokens(texts, prompt, special)

    async def check_health(self) -> None:
        """Asked by Serve; it replaces a replica for which this raises, time and again."""
        if self._texts is not None:
            await self._texts.probe.check()

    async def status(self) -> EncoderStatus:
        if self._texts is None:
            return EncoderStatus(self._replica, None, self._reason)
        engine = self._texts.engine
        return EncoderStatus(
            self._replica, engine.info, self._reason, engine.scheduler.items_run, engine.scheduler.batches_run
        )

    def _require(self) -> "TextEngine":
        if self._texts is None:
            raise ModelUnavailable(f"{self._id} is unavailable: {self._reason}", "model")
        return self._texts


class TextEngine:
    """A text engine with its tokenizer's threads, warmed."""

    def __init__(
        self,
        model: TextTower,
        info: ModelInfo,
        args: ModelArgs,
        threads: ModelThreads,
        replica: str,
        registry: Registry,
    ) -> None:
        threads.widen(model.streams)
        # Each stream has the memory that its largest run needs; of half as many tokens a batch is no less efficient.
        tokens = args.batch_tokens if model.streams == 1 else max(1, args.batch_tokens // 2)
        threads.exclusive.submit(model.warm, shapes.grid(args.batch_size, tokens, info.max_tokens)).result()
        queue = BatchQueue(args.batch_size, tokens, partial(shapes.bucket, grid=shapes.lengths(info.max_tokens)))
        self.probe = HealthProbe(self._run_tiny, threads.exclusive)
        self.engine = Engine(
            info,
            model.run,
            queue,
            threads,
            replica,
            registry,
            "tokenize",
            self.probe.watch,
            model.run_alone,
        )
        self._read = model.read
        self._tokens = model.tokens
        # Stands in the place of what could not be read, and whose row nobody sees.
        self._nothing = model.tokenize([""], "")[0]
        self._workers = ThreadPoolExecutor(args.workers, "tokenize")

    def _run_tiny(self) -> None:
        self.engine.run_each([self._nothing.ids])

    async def tokens(self, texts: Sequence[str], prompt: str | None, special: bool) -> list[list[Token]]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._workers, self._tokens, texts, prompt, special)

    async def encode(self, texts: Sequence[TextInput], timeout_s: float, origins: Origins | None = None) -> EncodeReply:
        arrived = time.monotonic()
        if len(texts) <= INLINE_TEXTS:
            outcomes = self._read(texts)
        else:
            outcomes = await asyncio.get_running_loop().run_in_executor(self._workers, self._read, texts)
        wrong: dict[int, ServiceError] = {i: text for i, text in enumerate(outcomes) if isinstance(text, InvalidItem)}
        tokenized = [self._nothing if isinstance(text, InvalidItem) else text for text in outcomes]
        lengths = [len(text.ids) for text in tokenized]
        reply = await self.engine.encode(
            [text.ids for text in tokenized],
            lengths,
            arrived + timeout_s,
            tokens=lengths,
            truncated=[text.truncated for text in tokenized],
            prepare_ms=(time.monotonic() - arrived) * 1e3,
            origins=origins,
        )
        return replace(reply, errors=reply.errors | wrong) if wrong else reply

    async def encode_alone(self, text: TextInput) -> EncodeReply:
        """The outcome of one text, in a run of its own."""
        arrived = time.monotonic()
        [read] = self._read([text])
        wrong = {0: read} if isinstance(read, InvalidItem) else {}
        ready = self._nothing if isinstance(read, InvalidItem) else read
        prepare_ms = (time.monotonic() - arrived) * 1e3
        reply = await self.engine.encode_alone(
            ready.ids, tokens=len(ready.ids), truncated=ready.truncated, prepare_ms=prepare_ms
        )
        return replace(reply, errors=reply.errors | wrong) if wrong else reply
