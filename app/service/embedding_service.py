"""EmbeddingService: looks items up in the cache, encodes the misses and stores them. No HTTP, no Ray."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Protocol

import numpy as np

from app.cache.client import CacheLookup
from app.cache.keys import KeyMaker
from app.config import model_names
from app.config.args import Limits
from app.config.settings import MODELS, AppArgs
from app.errors import (
    OF_ITEM,
    DeadlineExceeded,
    InvalidRequest,
    ModelNotFound,
    ModelUnavailable,
    Overloaded,
    PayloadTooLarge,
    ServiceError,
    did_you_mean,
)
from app.images.decoder import DecodedImage
from app.images.reader import ImageReader
from app.service import prompts, request_context
from app.service.encoder import Encoded, Encoder, Stages, ready
from app.service.result import EmbeddingResult
from app.service.single_flight import SingleFlight
from app.telemetry import tracing
from app.telemetry.metrics import ITEMS_ANSWERED, STAGE_SECONDS
from app.telemetry.registry import Registry
from app.types import ModelInfo, Pair, Prompted, ReadOptions, TextInput, TokenIds
from app.words import Cut, Kind

POLL_S = 0.02
DEFAULT_READING = ReadOptions()


class EmbeddingCache(Protocol):
    async def get_many(self, keys: Sequence[bytes], lacking: Callable[[list[int]], None]) -> CacheLookup: ...
    def put_many(self, epoch: str | None, entries: Sequence[tuple[bytes, bytes]]) -> None: ...


@dataclass(slots=True, eq=False)
class EmbeddingService:
    """One per ingress replica, on its event loop. `encoders`: by configured id, text models first in the order of
    configuration. `loading_wait_s`: how long a request waits for a model that is still loading."""

    encoders: dict[str, Encoder]
    cache: EmbeddingCache
    args: AppArgs
    reader: ImageReader
    loading_wait_s: float = 2.0
    registry: Registry = field(default_factory=Registry)
    flights: SingleFlight = field(init=False)

    def __post_init__(self) -> None:
        self.flights = SingleFlight(self.cache.put_many)

    @property
    def limits(self) -> Limits:
        return self.args.limits

    def default_model(self, kind: Kind) -> str | None:
        models = self.args.models(kind)
        return models[0].name if models else None

    def encoder(self, name: str | None, kind: Kind) -> Encoder:
        """The encoder with this full or short name that can embed `kind`. Raises ModelNotFound."""
        wanted = self.args.model_aliases.get(name or "", name) or self.default_model(kind) or ""
        able = {id_: encoder for id_, encoder in self.encoders.items() if kind in encoder.kinds}
        if wanted in able:
            return able[wanted]
        # A backup answers to its own name as well.
        backups = {encoder.state.info.id: encoder for encoder in able.values() if encoder.state.info}
        known = backups | able
        if (found := model_names.find(wanted, known)) is not None:
            return known[found]
        names = ", ".join(able) or "none"
        public = model_names.ModelName(wanted).public
        named = f" named {public!r}" if wanted else ""
        hint = did_you_mean(public, [*able, *self.args.model_aliases]) if wanted else ""
        if kind not in ("text", "image") and not able:
            hint = " `{}` ({}) can name one.".format(*MODELS[kind])
        hint = hint or (" MODEL_ALIASES can give one of them this name." if wanted and able else "")
        raise ModelNotFound(f"No {kind} model{named} is served here. Served: {names}.{hint}", "model")

    def is_other_kind(self, name: str | None, kind: Kind) -> bool:
        """Whether a model is named that is of this kind and reads no texts as a text model does."""
        if name is None:
            return False
        for each in ("text", kind):
            with suppress(ModelNotFound):
                self.encoder(name, each)
                return each == kind
        return False

    def refusal(self, kind: Kind) -> Overloaded | None:
        """The error for any request of this kind if all its encoders are overloaded; None if one accepts more."""
        if kind == "rerank" and self.default_model(kind) is None:
            kind = "text"
        refusals: list[Overloaded] = []
        for encoder in self.encoders.values():
            if kind in encoder.kinds:
                if (refusal := encoder.refusal(kind)) is None:
                    return None
                refusals.append(refusal)
        return min(refusals, key=lambda refusal: refusal.retry_after or 0, default=None)

    async def _ready(self, name: str | None, kind: Kind) -> tuple[Encoder, ModelInfo]:
        """The encoder, once it is ready: a new ingress replica learns its models' states only after a moment."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self.loading_wait_s
        while True:
            try:
                encoder = self.encoder(name, kind)
                return encoder, ready(encoder)
            except (ModelNotFound, ModelUnavailable) as error:
                unknown = isinstance(error, ModelNotFound)
                asked = self.encoders.values() if unknown else [self.encoder(name, kind)]
                if all(e.state.status != "loading" for e in asked) or loop.time() >= give_up:
                    raise
            await asyncio.sleep(POLL_S)

    async def embed_texts(
        self,
        texts: Sequence[str],
        model: str | None = None,
        param: str = "texts",
        reading: ReadOptions = DEFAULT_READING,
        kind: Kind = "text",
    ) -> EmbeddingResult:
        """One outcome per text, in order; equal texts are encoded once. `param`: the request field of the texts;
        `kind`: the model's. Raises PayloadTooLarge if there are too many or one is too long, InvalidRequest if the
        model has no such prompt."""
        self._check_texts(texts, param)
        encoder, info = await self._ready(model, kind)
        prompt, (cut, is_own) = prompts.choose(info, reading), _cut(info, reading.cut)
        inputs: Sequence[TextInput] = texts
        form = "text"
        routes = getattr(info, "routes", {})  # a replica of an older build has none
        task = task if (task := prompts.task_of(reading.input_type)) in routes else None
        if prompt is not None or not is_own or task is not None:
            inputs = [Prompted(text, prompt, cut, task) for text in texts]
        if prompt is not None or not is_own:
            form = f"text, cut at its {cut}, behind {prompt!r}"
        if kind == "token":
            await self._require_room(encoder, info, inputs, param)
        fingerprint = routes[task] if task is not None else info.fingerprint
        make_key = KeyMaker(request_context.current().cache_scope, fingerprint, form).text
        keys = [make_key(text) for text in texts]
        result = await self._embed(encoder, info, kind, keys, inputs)
        return result.named(param, OF_ITEM)

    async def embed_ids(
        self, arrays: Sequence[Sequence[int]], model: str | None = None, param: str = "input"
    ) -> EmbeddingResult:
        """One outcome per array of token ids, in order. The encoder checks that the ids are valid. Raises
        PayloadTooLarge if there are too many arrays."""
        self._check_texts([""] * len(arrays), param)
        encoder, info = await self._ready(model, "text")
        if getattr(info, "routes", {}):
            raise InvalidRequest(f"{info.id} reads texts of different tasks in different ways; send texts.", param)
        make_key = KeyMaker(request_context.current().cache_scope, info.fingerprint, "token ids").content
        keys = [make_key(np.array(ids, np.int64).tobytes()) for ids in arrays]
        inputs: Sequence[TextInput] = [TokenIds(tuple(ids)) for ids in arrays]
        return (await self._embed(encoder, info, "text", keys, inputs)).named(param)

    async def score_pairs(
        self,
        pairs: Sequence[tuple[str, ...]],
        model: str | None = None,
        param: str = "documents",
        cut: Cut | None = None,
    ) -> EmbeddingResult:
        """One outcome per pair, or text alone, in order: the logits of a cross-encoder's labels. Raises PayloadTooLarge
        if there are too many or one is too long."""
        self._check_texts([pair[-1] for pair in pairs], param)
        size, most = sum(len(text) for pair in pairs for text in pair), self.limits.text_body
        if size > most:
            message = f"Each text with its query, these are {size:,} characters; at most {most:,} in one request."
            raise PayloadTooLarge(message, param)
        encoder, info = await self._ready(model, "rerank")
        cut, _ = _cut(info, cut)
        make_key = KeyMaker(request_context.current().cache_scope, info.fingerprint, f"pair, cut at its {cut}").texts
        keys = [make_key(*pair) for pair in pairs]
        inputs = [Pair(pair[0], pair[1], cut) if len(pair) > 1 else Prompted(pair[0], cut=cut) for pair in pairs]
        return (await self._embed(encoder, info, "rerank", keys, inputs)).named(param, OF_ITEM)

    async def embed_images(
        self, images: Sequence[object], model: str | None = None, param: str = "images"
    ) -> EmbeddingResult:
        """One outcome per image, in order. An image is its bytes or an entry that `app.images.sources` parses. Raises
        PayloadTooLarge if there are too many; errors of single images are their outcomes."""
        if len(images) > self.limits.images:
            raise PayloadTooLarge(f"{len(images)} images; at most {self.limits.images} in one request.", param)
        encoder, info = await self._ready(model, "image")
        if encoder.preprocessing is None:
            raise ModelUnavailable(f"{info.id} is still loading. Try again in a moment.", "model", retry_after=2)
        make_key = KeyMaker(request_context.current().cache_scope, info.fingerprint, "image").content
        started = time.perf_counter()
        decoded = await self.reader.read(images, encoder.preprocessing, param)
        decode_ms = (time.perf_counter() - started) * 1e3
        self.registry.observe(STAGE_SECONDS, decode_ms / 1e3, info.id, "decode")
        good = [image for image in decoded if isinstance(image, DecodedImage)]
        keys = [make_key(image.digest) for image in good]
        result = await self._embed(encoder, info, "image", keys, [image.crop for image in good])
        return result.with_errors(decoded, decode_ms).named(param, OF_ITEM)

    async def _embed(
        self, encoder: Encoder, info: ModelInfo, kind: Kind, keys: Sequence[bytes], contents: Sequence[Any]
    ) -> EmbeddingResult:
        span = tracing.child("cache")
        started = time.perf_counter()

        def admit(lacking: list[int]) -> None:
            refusal = encoder.refusal(kind)
            # The cost of the other items is not known yet: some may be in the shared cache.
            if refusal is not None and not all(keys[i] in self.flights for i in lacking):
                raise refusal

        try:
            lookup = await self.cache.get_many(keys, admit)
        except Overloaded:
            if span is not None:
                span.end()
            raise
        cache_ms = (time.perf_counter() - started) * 1e3
        hits = [value is not None for value in lookup.values]
        if span is not None:
            span.set(items=len(keys), hits=sum(hits))
            span.end()
        entries: list[bytes | ServiceError | None] = list(lookup.values)
        stages = Stages()
        if not all(hits):
            missing = [i for i, hit in enumerate(hits) if not hit]
            flights = self.flights.join(encoder, kind, [(keys[i], contents[i]) for i in missing], lookup.epoch)
            try:
                await asyncio.wait({flight.future for flight in flights}, timeout=self.limits.deadline_s)
                done = [flight.future.result() if flight.future.done() else None for flight in flights]
            finally:
                self.flights.leave(flights, encoder)
            late = self._late(len(done) - done.count(None), len(done))
            for i, encoded in zip(missing, done, strict=True):
                entries[i] = encoded.entry if encoded else late
                stages = encoded.stages if encoded else stages
            _link_joined(done)
        outcomes = [e for e in entries if e is not None]
        request_context.current().count_tokens(outcomes)
        self.registry.observe(STAGE_SECONDS, cache_ms / 1e3, info.id, "cache")
        self.registry.count(ITEMS_ANSWERED, info.id, kind, by=sum(isinstance(entry, bytes) for entry in outcomes))
        return EmbeddingResult(info, outcomes, hits, stages, cache_ms)

    def _late(self, done: int, items: int) -> DeadlineExceeded:
        """The error of items that were not encoded in time, beside some that were and are in the cache now."""
        within = f"within {self.limits.deadline_s:g} s."
        if not done:
            return DeadlineExceeded(f"The model did not answer {within}")
        hint = (
            f"They are cached: send the same request again to go on from there, or at most {done:,} new items at once."
        )
        late = DeadlineExceeded(f"The model did {done:,} of {items:,} items {within} {hint}", retry_after=1)
        late.max_items = done
        return late

    async def _require_room(self, encoder: Encoder, info: ModelInfo, texts: Sequence[TextInput], param: str) -> None:
        """Of vectors of tokens, how many is known before they are made. Raises PayloadTooLarge if they are too many."""
        most, row = self.limits.vector_body, 4 * info.dimensions
        if len(texts) * info.max_tokens * row <= most:
            return
        for i, size in enumerate(accumulate(row * count for count in await encoder.counts(texts))):
            if size > most:
                message = f"With `{param}.{i}` the vectors of all tokens have {size:,} bytes; at most {most:,} in one"
                raise PayloadTooLarge(f"{message} request: send fewer texts.", f"{param}.{i}")

    def _check_texts(self, texts: Sequence[str], param: str) -> None:
        limits = self.limits
        if len(texts) > limits.texts:
            raise PayloadTooLarge(f"{len(texts)} texts; at most {limits.texts:,} in one request.", param)
        for i, text in enumerate(texts):
            self.check_text(text, f"{param}.{i}")

    def check_text(self, text: str, param: str) -> None:
        """Raises PayloadTooLarge if it is too long."""
        most = self.limits.text_bytes
        # UTF-8 has at most 4 bytes per character, so most texts need not be encoded to be accepted.
        if len(text) * 4 > most and (size := len(text.encode())) > most:
            raise PayloadTooLarge(f"`{param}` has {size:,} bytes; at most {most:,} per text.", param)


def _cut(info: ModelInfo, asked: Cut | None) -> tuple[Cut, bool]:
    """The side at which texts are cut, and whether it is the model's own."""
    own: Cut = getattr(info, "cut", "end")  # a replica of an older build says none
    return asked or own, asked in (None, own)


def _link_joined(done: Sequence[Encoded | None]) -> None:
    """Link a traced request to the requests whose items it joined: their traces contain the encoder's spans."""
    span = tracing.current()
    if span is None:
        return
    for origin in dict.fromkeys(encoded.origin for encoded in done if encoded):
        if origin is not None and origin != span.traceparent:
            span.link(origin)
