"""TextEncoder: one replica of one text model. Tokenise → gate → `@serve.batch` → model."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from app.batching import BatchQueue
from app.encoders import TextTower, load_text_model, shapes
from app.errors import InvalidItem, ModelUnavailable, ServiceError
from app.settings import Backup, ModelArgs
from app.types import ModelInfo, TextInput
from deployments.loading import load_with_backup, noted
from deployments.messages import EncodeReply, EncoderStatus
from deployments.tower import Tower, replica_name

# Tokenising fewer texts than this costs less than handing them to a thread.
INLINE_TEXTS = 4


class TextEncoder:
    """Loads its model before it takes traffic. A model that can't be had is told to whoever asks, and does not
    take the other models down with it; any other failure ends the replica, and Serve starts another.
    """

    def __init__(self, args: ModelArgs, threads: int, offline: bool, backup: Backup | None = None) -> None:
        self._id = args.id
        self._replica = replica_name()
        self._texts: Texts | None = None
        load = partial(load_text_model, threads=threads, offline=offline)
        model, note, self._reason = load_with_backup(load, args, backup)
        if model is not None:
            info = noted(model.info, note)
            self._texts = Texts(model, info, args, ThreadPoolExecutor(1, "model"), self._replica)

    async def encode_texts(self, texts: Sequence[TextInput], timeout_s: float) -> EncodeReply:
        """One outcome per text, in order. `timeout_s`: after that nobody waits for the rest any more."""
        if self._texts is None:
            raise ModelUnavailable(f"{self._id} is unavailable: {self._reason}", "model")
        return await self._texts.encode(texts, timeout_s)

    async def status(self) -> EncoderStatus:
        if self._texts is None:
            return EncoderStatus(self._replica, None, self._reason)
        tower = self._texts.tower
        return EncoderStatus(self._replica, tower.info, self._reason, tower.gate.items_run, tower.gate.batches_run)


class Texts:
    """A text tower with its tokenizer's threads, warmed."""

    def __init__(self, model: TextTower, info: ModelInfo, args: ModelArgs, device: Executor, replica: str) -> None:
        model.warm(shapes.grid(args.batch_size, args.batch_tokens, info.max_tokens))
        queue = BatchQueue(
            args.batch_size, args.batch_tokens, partial(shapes.bucket, grid=shapes.lengths(info.max_tokens))
        )
        self.tower = Tower(info, model.run, queue, device, replica)
        self._read = model.read
        # Stands in the place of what could not be read, and whose row nobody sees.
        self._nothing = model.tokenize([""], "")[0]
        self._workers = ThreadPoolExecutor(args.workers, "tokenize")

    async def encode(self, texts: Sequence[TextInput], timeout_s: float) -> EncodeReply:
        arrived = time.monotonic()
        if len(texts) <= INLINE_TEXTS:
            outcomes = self._read(texts)
        else:
            outcomes = await asyncio.get_running_loop().run_in_executor(self._workers, self._read, texts)
        wrong: dict[int, ServiceError] = {i: text for i, text in enumerate(outcomes) if isinstance(text, InvalidItem)}
        tokenized = [self._nothing if isinstance(text, InvalidItem) else text for text in outcomes]
        lengths = [len(text.ids) for text in tokenized]
        reply = await self.tower.encode(
            [text.ids for text in tokenized],
            lengths,
            arrived + timeout_s,
            tokens=lengths,
            truncated=[text.truncated for text in tokenized],
            prepare_ms=(time.monotonic() - arrived) * 1e3,
        )
        return replace(reply, errors=reply.errors | wrong) if wrong else reply
