"""EmbeddingService: look up → encode the misses → store → order. No HTTP, no Ray."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, TypeVar

from app.encoders.preprocess import Preprocessing
from app.entries import unpack
from app.errors import DeadlineExceeded, ModelNotFound, ModelUnavailable, PayloadTooLarge, ServiceError
from app.image_reader import ImageReader, ReadImage
from app.keys import KeyMaker
from app.settings import AppArgs, Limits
from app.types import Kind, ModelInfo, Vector

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stages:
    """Where an encoder's time went, in milliseconds, and in how many runs of the model."""

    decode_ms: float = 0.0
    tokenize_ms: float = 0.0
    queue_ms: float = 0.0
    inference_ms: float = 0.0
    batches: int = 0


@dataclass(frozen=True, slots=True)
class Encoded:
    """One item's outcome: its cache entry or its error, and the times of the call that made it."""

    entry: bytes | ServiceError
    stages: Stages


@dataclass(frozen=True, slots=True)
class ModelState:
    """A model as its replicas tell. `items` and `batches` are what the replica that spoke last has run."""

    id: str
    status: Literal["loading", "ready", "unavailable"]
    info: ModelInfo | None = None
    reason: str | None = None
    items: int = 0
    batches: int = 0


class Encoder(Protocol):
    """One configured model, wherever it runs."""

    kinds: tuple[Kind, ...]

    @property
    def state(self) -> ModelState: ...

    @property
    def preprocessing(self) -> Preprocessing | None:
        """How the model wants its images cropped; None before it is known, and for text models."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> "Sequence[asyncio.Future[Encoded]]": ...
    def encode_images(self, crops: Sequence[bytes]) -> "Sequence[asyncio.Future[Encoded]]": ...


class Found(Protocol):
    @property
    def epoch(self) -> str | None: ...
    @property
    def values(self) -> list[bytes | None]: ...


class EmbeddingCache(Protocol):
    async def get_many(self, keys: Sequence[bytes]) -> Found: ...
    def put_many(self, epoch: str | None, entries: Sequence[tuple[bytes, bytes]]) -> None: ...


@dataclass(slots=True)
class Embeddings:
    """Outcomes in the caller's order. `hits[i]`: the i-th came from the cache."""

    info: ModelInfo
    entries: list[bytes | ServiceError]
    hits: list[bool]
    stages: Stages = Stages()
    cache_ms: float = 0.0

    def table(self) -> tuple[Vector, list[int], list[int]]:
        """(n, d) float32 rows, token counts, indices of truncated inputs.

        Raises:
            ServiceError: That of the first failed item.
        """
        return self._table()

    def with_errors(self, read: "Sequence[ReadImage | ServiceError]", decode_ms: float) -> "Embeddings":
        """These outcomes, with those of the images that could not be read in their places."""
        rest = zip(self.entries, self.hits, strict=True)
        both = [next(rest) if isinstance(image, ReadImage) else (image, False) for image in read]
        stages = replace(self.stages, decode_ms=decode_ms)
        return Embeddings(self.info, [e for e, _ in both], [hit for _, hit in both], stages, self.cache_ms)

    def _table(self) -> tuple[Vector, list[int], list[int]]:
        whole: list[bytes] = []
        for entry in self.entries:
            if isinstance(entry, ServiceError):
                raise entry
            whole.append(entry)
        rows, tokens, cut = unpack(whole)
        return rows, tokens.tolist(), cut.nonzero()[0].tolist()


@dataclass(slots=True, eq=False)
class EmbeddingService:
    """One per ingress replica, on its event loop.

    Args:
        encoders: By configured id, text models first in the order of configuration.
        cache: Near and shared cache.
        args: The settings; limits and defaults come from here.
        reader: Turns image entries into crops.
    """

    encoders: dict[str, Encoder]
    cache: EmbeddingCache
    args: AppArgs
    reader: ImageReader
    _flights: dict[bytes, "asyncio.Future[Encoded]"] = field(default_factory=dict)
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    @property
    def limits(self) -> Limits:
        return self.args.limits

    def default_model(self, kind: Kind) -> str | None:
        models = self.args.text_models if kind == "text" else self.args.image_models
        return models[0].id if models else None

    def encoder(self, name: str | None, kind: Kind) -> Encoder:
        """The encoder of a full or short model name that can read `kind`.

        Raises:
            ModelNotFound: No such model, or it can't read `kind`.
        """
        wanted = name or self.default_model(kind)
        able = {id_: encoder for id_, encoder in self.encoders.items() if kind in encoder.kinds}
        if wanted in able:
            return able[wanted]
        for id_, encoder in able.items():
            info = encoder.state.info
            if wanted in {_short(id_), *((info.id, _short(info.id)) if info else ())}:
                return encoder
        names = ", ".join(able) or "none"
        raise ModelNotFound(f"No {kind} model named {wanted!r} is served here. Served: {names}.", "model")

    async def embed_texts(
        self, texts: Sequence[str], model: str | None = None, tenant: str = "", param: str = "texts"
    ) -> Embeddings:
        """One outcome per text, in order; equal texts are encoded once.

        Raises:
            PayloadTooLarge: Too many texts, or one too long; `param` names the field that held them.
        """
        self._check_texts(texts, param)
        encoder = self.encoder(model, "text")
        info = _ready(encoder)
        make_key = KeyMaker(tenant, info.fingerprint, "text").text
        return await self._embed(info, [make_key(text) for text in texts], texts, encoder.encode_texts)

    async def embed_images(
        self, images: Sequence[object], model: str | None = None, tenant: str = "", param: str = "images"
    ) -> Embeddings:
        """One outcome per image, in order. An image is its bytes or an entry as `app.sources` reads them.

        Raises:
            PayloadTooLarge: Too many images. What is wrong with one image is that image's outcome.
        """
        if len(images) > self.limits.images:
            raise PayloadTooLarge(f"{len(images)} images; at most {self.limits.images} in one request.", param)
        encoder = self.encoder(model, "image")
        info = _ready(encoder)
        if encoder.preprocessing is None:
            raise ModelUnavailable(f"{info.id} is still loading. Try again in a moment.", "model", retry_after=2)
        make_key = KeyMaker(tenant, info.fingerprint, "image").content
        started = time.perf_counter()
        read = await self.reader.read(images, encoder.preprocessing, param)
        decode_ms = (time.perf_counter() - started) * 1e3
        good = [image for image in read if isinstance(image, ReadImage)]
        keys = [make_key(image.digest) for image in good]
        result = await self._embed(info, keys, [image.crop for image in good], encoder.encode_images)
        return result.with_errors(read, decode_ms)

    async def _embed(
        self,
        info: ModelInfo,
        keys: Sequence[bytes],
        contents: Sequence[T],
        encode: "Callable[[Sequence[T]], Sequence[asyncio.Future[Encoded]]]",
    ) -> Embeddings:
        started = time.perf_counter()
        found = await self.cache.get_many(keys)
        cache_ms = (time.perf_counter() - started) * 1e3
        hits = [value is not None for value in found.values]
        entries: list[bytes | ServiceError | None] = list(found.values)
        stages = Stages()
        if not all(hits):
            missing = [i for i, hit in enumerate(hits) if not hit]
            flights = self._fly(encode, [(keys[i], contents[i]) for i in missing], found.epoch)
            try:
                async with asyncio.timeout(self.limits.deadline_s):
                    await asyncio.wait(set(flights))
            except TimeoutError:
                raise DeadlineExceeded(f"The model did not answer within {self.limits.deadline_s:g} s.") from None
            for i, flight in zip(missing, flights, strict=True):
                encoded = flight.result()
                entries[i] = encoded.entry
                stages = encoded.stages
        return Embeddings(info, [e for e in entries if e is not None], hits, stages, cache_ms)

    def _fly(
        self,
        encode: "Callable[[Sequence[T]], Sequence[asyncio.Future[Encoded]]]",
        misses: Sequence[tuple[bytes, T]],
        epoch: str | None,
    ) -> "list[asyncio.Future[Encoded]]":
        """One future per miss; a miss that is already under way is joined, not computed again."""
        loop = asyncio.get_running_loop()
        flights: list[asyncio.Future[Encoded]] = []
        fresh: dict[bytes, T] = {}
        for key, content in misses:
            flight = self._flights.get(key)
            if flight is None:
                flight = self._flights[key] = loop.create_future()
                fresh[key] = content
            flights.append(flight)
        if fresh:
            task = loop.create_task(self._encode(encode, fresh, epoch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return flights

    async def _encode(
        self,
        encode: "Callable[[Sequence[T]], Sequence[asyncio.Future[Encoded]]]",
        fresh: dict[bytes, T],
        epoch: str | None,
    ) -> None:
        entries: list[tuple[bytes, bytes]] = []
        results: Sequence[Encoded | BaseException]
        try:
            results = await asyncio.gather(*encode(list(fresh.values())), return_exceptions=True)
            if len(results) != len(fresh):
                raise RuntimeError(f"{len(results)} outcomes for {len(fresh)} items")
        except BaseException as error:  # noqa: BLE001 - a flight that never lands would hang its item for good
            results = [error] * len(fresh)
        logged: BaseException | None = None
        for key, result in zip(fresh, results, strict=True):
            if isinstance(result, BaseException):
                if isinstance(result, ServiceError):
                    result = Encoded(result, Stages())
                else:
                    if result is not logged:  # one failure may be the outcome of many items
                        logger.error("the encoder failed", exc_info=result)
                        logged = result
                    result = Encoded(ModelUnavailable("The model could not be reached."), Stages())
            if isinstance(result.entry, bytes):
                entries.append((key, result.entry))
            self._flights.pop(key).set_result(result)
        self.cache.put_many(epoch, entries)

    def _check_texts(self, texts: Sequence[str], param: str) -> None:
        limits = self.limits
        if len(texts) > limits.texts:
            raise PayloadTooLarge(f"{len(texts)} texts; at most {limits.texts:,} in one request.", param)
        for i, text in enumerate(texts):
            # UTF-8 is at most 4 bytes a character: most texts need no encoding to be known as short enough.
            if len(text) * 4 > limits.text_bytes and len(text.encode()) > limits.text_bytes:
                raise PayloadTooLarge(
                    f"`{param}.{i}` has {len(text.encode()):,} bytes; at most {limits.text_bytes:,} a text.",
                    f"{param}.{i}",
                )


def _short(id_: str) -> str:
    return id_.rstrip("/").rsplit("/", 1)[-1]


def _ready(encoder: Encoder) -> ModelInfo:
    state = encoder.state
    if state.info is not None and state.status == "ready":
        return state.info
    if state.status == "loading":
        raise ModelUnavailable(f"{state.id} is still loading. Try again in a moment.", "model", retry_after=2)
    raise ModelUnavailable(f"{state.id} is unavailable: {state.reason}", "model", retry_after=30)
