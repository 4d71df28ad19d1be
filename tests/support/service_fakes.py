"""An encoder and a cache that one can read, for the service and the routes above it."""

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app.cache.client import CacheLookup
from app.cache.entry import pack, split
from app.config.args import Limits, ModelArgs
from app.config.settings import MODELS, AppArgs
from app.errors import InvalidItem, Overloaded, ServiceError
from app.images.preprocessing import Preprocessing
from app.images.reader import ImageReader
from app.service.embedding_service import EmbeddingService
from app.service.encoder import Encoded, Encoder, ModelState, Stages
from app.types import ModelInfo, Pair, Span, TextInput, Token, TokenIds
from app.vectors.ragged import pack_sparse
from app.words import ChunkBy, Kind

MODEL = "makers/small-model"


def info_of(id_: str = MODEL, **changes: Any) -> ModelInfo:
    known: dict[str, Any] = {"id": id_, "fingerprint": f"print of {id_}", "dimensions": 3, "max_tokens": 8}
    return ModelInfo(
        **(known | {"kinds": ("text",), "backend": "fake", "precision": "f32", "pooling": ("mean",)} | changes)
    )


def entry_of(text: str) -> bytes:
    """[length, 4, 0] for a text, one token a word, truncated after 8."""
    words = len(text.split())
    return pack(np.array([[len(text), 4, 0]], np.float32), [min(words, 8)], [words > 8])


def as_read(one: TextInput) -> str:
    """A task and a prompt go before their text, a query and a bar likewise; an id is a word."""
    if isinstance(one, TokenIds):
        return " ".join(map(str, one.ids))
    if isinstance(one, Pair):
        return f"{one.query} | {one.text}"
    return one if isinstance(one, str) else f"{one.task or ''}{one.prompt or ''}{one.text}"


class FakeEncoder:
    """Answers at once, or, while `held`, with `answer`."""

    def __init__(self, id_: str = MODEL, kinds: tuple[Kind, ...] = ("text",)) -> None:
        self.kinds = kinds
        self.state = ModelState(id_, "ready", info_of(id_, kinds=kinds))
        # Of an image it reads one pixel.
        pixel = Preprocessing(None, (1, 1), None, 2, np.zeros((3, 256), np.float32))
        self.preprocessing = pixel if "image" in kinds else None
        self.waiting = 0
        self.retried = 0
        self.held = False
        self.trims = 0
        self.origin: str | None = None
        self.calls: list[list[str]] = []
        self.inputs: list[TextInput] = []
        self.chunked: list[tuple[Any, ...]] = []
        self.pooled: list[str] = []
        self.tracked: list[list[str]] = []
        self.full_beside: Overloaded | None = None
        self.overload: Overloaded | None = None
        self.faults: dict[str, BaseException] = {}
        self._open: list[tuple[str, asyncio.Future[Encoded]]] = []

    def refusal(self, kind: Kind) -> Overloaded | None:
        return self.overload

    def encode_texts(self, texts: Sequence[TextInput]) -> "Sequence[asyncio.Future[Encoded]]":
        self.inputs += texts
        return self._encode([as_read(text) for text in texts])

    def _encode(self, texts: Sequence[str]) -> "Sequence[asyncio.Future[Encoded]]":
        self.calls.append(list(texts))
        futures: list[asyncio.Future[Encoded]] = [asyncio.get_running_loop().create_future() for _ in texts]
        self._open += zip(texts, futures, strict=True)
        if not self.held:
            self.answer()
        return futures

    async def tokens(self, texts: Sequence[str], prompt: str | None, special: bool) -> list[list[Token]]:
        """A word is a token; in front of them, if asked for, one for the prompt."""
        first = [Token(0, prompt or "", True, None, None)] if special else []
        return [first + [Token(len(word), word, False, 0, len(word)) for word in text.split()] for text in texts]

    async def counts(self, texts: Sequence[TextInput]) -> list[int]:
        return [min(8, len(as_read(text).split())) for text in texts]

    async def decode(self, arrays: Sequence[Sequence[int]], names: Sequence[str], skip_special: bool) -> list[str]:
        """An id is a word; 0 is special, and above 9999 there are none."""
        for ids, name in zip(arrays, names, strict=True):
            if max(ids) > 9999:
                raise InvalidItem(f"`{name}` has the id {max(ids)}, which is none of this model's tokens.", name)
        return [" ".join(str(id_) for id_ in ids if id_ or not skip_special) for ids in arrays]

    async def chunks(
        self, texts: Sequence[str], size: int | None, overlap: int, by: ChunkBy, prompt: str | None, most: int
    ) -> list[list[Span]]:
        """As many words as `size`, 4 if it says nothing."""
        self.chunked.append((size, overlap, by, prompt, most))
        words = [[match.span() for match in re.finditer(r"\S+", text)] for text in texts]
        size = size or 4
        return [
            [(own[i][0], own[i : i + size][-1][1]) for i in range(0, len(own), size - overlap)][: most + 1]
            for own in words
        ]

    @contextmanager
    def track(self, documents: Sequence[str]) -> Iterator[None]:
        """`pooled`: the documents whose spans are pooled now."""
        self.tracked.append([*documents])
        if self.full_beside is not None:
            raise self.full_beside
        self.pooled += documents
        try:
            yield
        finally:
            del self.pooled[-len(documents) :]

    async def pool_spans(self, text: str, spans: Sequence[Span], prompt: str | None) -> list[Encoded]:
        """[start, end, length of the prompt and the text]; windows of 100 characters."""
        if isinstance(fault := self.faults.get(text), ServiceError):
            raise fault
        rows = np.array([[start, end, len(prompt or "") + len(text)] for start, end in spans], np.float32)
        packed = split(
            pack(rows, [len(text[start:end].split()) for start, end in spans], [False] * len(spans)), len(spans)
        )
        return [Encoded(entry, Stages(batches=-(-len(text) // 100))) for entry in packed]

    def encode_images(self, crops: Sequence[bytes]) -> "Sequence[asyncio.Future[Encoded]]":
        return self._encode([crop.hex() for crop in crops])

    def trim(self) -> None:
        self.trims += 1

    def answer_some(self, count: int) -> None:
        rest, self._open = self._open[count:], self._open[:count]
        self.answer()
        self._open = rest

    def entry_of(self, text: str) -> bytes:
        return entry_of(text)

    def answer(self) -> None:
        for text, future in self._open:
            if future.cancelled():
                continue
            fault = self.faults.get(text)
            if fault is None or isinstance(fault, ServiceError):
                future.set_result(Encoded(fault or self.entry_of(text), Stages(inference_ms=1.5), self.origin))
            elif isinstance(fault, asyncio.CancelledError):
                future.cancel()
            else:
                future.set_exception(fault)
        self._open = []


def wide_encoder(id_: str = MODEL) -> FakeEncoder:
    """Its vectors have eight dimensions, so that their signs fill a byte."""

    class Wide(FakeEncoder):
        def entry_of(self, text: str) -> bytes:
            words = len(text.split())
            row = [len(text), 4, -1, 0, 2, -3, 0, -2]
            return pack(np.array([row], np.float32), [min(words, 8)], [words > 8])

    encoder = Wide(id_)
    encoder.state = ModelState(id_, "ready", info_of(id_, dimensions=8))
    return encoder


class FakeReranker(FakeEncoder):
    """Of a pair, as many words as its texts share; of a text alone, its words; times the number of the label."""

    def __init__(
        self, id_: str = "makers/reranker", labels: tuple[str, ...] = ("relevance",), activation: str = "Sigmoid"
    ) -> None:
        super().__init__(id_, ("rerank",))
        facts = {"kinds": ("rerank",), "dimensions": len(labels), "labels": labels, "activation": activation}
        self.state = ModelState(id_, "ready", info_of(id_, **facts))

    def entry_of(self, text: str) -> bytes:
        query, _, other = text.partition(" | ")
        words, labels = query.split() + other.split(), self.state.info.labels if self.state.info else ()
        value = len({*query.split()} & {*other.split()}) if other else len(words)
        return pack(
            np.array([[value * n for n in range(1, 1 + len(labels))]], np.float32), [len(words)], [len(words) > 8]
        )


class FakeSparseEncoder(FakeEncoder):
    """Of a text its words' lengths, each at the place of its first letter; 0 for words that begin with a digit."""

    def __init__(self, id_: str = "makers/sparse", **facts: Any) -> None:
        super().__init__(id_, ("sparse",))
        self.state = ModelState(id_, "ready", info_of(id_, kinds=("sparse",), dimensions=26, **facts))

    def entry_of(self, text: str) -> bytes:
        words, row = text.split(), np.zeros(26, np.float32)
        for word in words:
            if word[0].isalpha():
                row[ord(word[0].lower()) - ord("a")] = len(word) + 0.5
        rows = np.full(1, b"", object)
        rows[0] = pack_sparse(row)
        return pack(rows, [min(len(words), 8)], [len(words) > 8])


class FakeTokenEncoder(FakeEncoder):
    """Of each word of a text (its length, 0.5)."""

    def __init__(self, id_: str = "makers/tokens", **facts: Any) -> None:
        super().__init__(id_, ("token",))
        self.state = ModelState(id_, "ready", info_of(id_, kinds=("token",), dimensions=2, **facts))

    def entry_of(self, text: str) -> bytes:
        words = text.split()
        rows = np.full(1, b"", object)
        rows[0] = np.array([[len(word), 0.5] for word in words[:8]], np.float32).tobytes()
        return pack(rows, [min(len(words), 8)], [len(words) > 8])


@dataclass
class FakeCache:
    """A dict, with an epoch that goes with each look-up and must come back with each put."""

    epoch: str | None = "first"
    entries: dict[bytes, bytes] = field(default_factory=dict)
    puts: list[tuple[str | None, int]] = field(default_factory=list)

    async def get_many(self, keys: Sequence[bytes], lacking: Callable[[list[int]], None]) -> CacheLookup:
        values = [self.entries.get(key) for key in keys]
        if None in values:
            lacking([i for i, value in enumerate(values) if value is None])
        return CacheLookup(self.epoch, values)

    def put_many(self, epoch: str | None, entries: Sequence[tuple[bytes, bytes]]) -> None:
        self.puts.append((epoch, len(entries)))
        if epoch == self.epoch:
            self.entries.update(entries)


def args_of(*encoders: FakeEncoder, **limits: Any) -> AppArgs:
    """Each is configured as a model of its first kind."""
    models: dict[str, Any] = {field: [] for field, _ in MODELS.values()}
    for encoder in encoders:
        models[MODELS[encoder.kinds[0]][0]].append(ModelArgs(id=encoder.state.id))
    return AppArgs(**models, limits=Limits(**limits))


def service_of(*encoders: FakeEncoder, cache: FakeCache | None = None, **limits: Any) -> EmbeddingService:
    args = args_of(*encoders, **limits)
    by_id: dict[str, Encoder] = {encoder.state.id: encoder for encoder in encoders}
    # Its thread is only started by the first image.
    reader = ImageReader(ThreadPoolExecutor(1), args.limits, None)
    # No model here comes to be ready by itself.
    return EmbeddingService(by_id, cache or FakeCache(), args, reader, loading_wait_s=0)
