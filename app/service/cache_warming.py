"""Vectors that were made elsewhere by the very model that serves, put into the cache as if it had just made them.

The cache trusts what is in it, so nothing comes in on somebody's word alone: the fingerprint must be the served
model's, and some of the texts are embedded here to see whether the vectors are what that model makes.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from secrets import SystemRandom
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.cache.entry import pack, split, unpack
from app.cache.keys import KeyMaker
from app.errors import DeadlineExceeded, InvalidRequest, PayloadTooLarge, SpaceMismatch
from app.service import request_context
from app.service.embedding_service import EmbeddingService
from app.service.encoder import Encoder
from app.service.encoder import ready as ready_info
from app.types import ModelInfo, Vector
from app.vectors.similarity import normalize

CHECKED = 4  # texts of each request that are embedded here, drawn by lot
# bf16 in batches of other shapes stays above the one and within the other.
LEAST_COSINE, LENGTH_TOLERANCE = 0.999, 0.02


class WarmCache(Protocol):
    async def warm(self, entries: Sequence[tuple[bytes, bytes]]) -> None: ...


@dataclass(frozen=True, slots=True)
class ReadyVectors:
    """(n, d) rows as the model gives them, with what the tokenizer says of each text."""

    fingerprint: str
    texts: Sequence[str]
    rows: Vector
    tokens: Sequence[int]
    truncated: Sequence[bool]


async def warm(service: EmbeddingService, cache: WarmCache, ready: ReadyVectors, model: str | None) -> tuple[int, int]:
    """How many went into the shared cache, as the caller's own, and how many of them were embedded here first.

    Raises:
        SpaceMismatch: They are another model's, or not what this one makes of these texts.
        InvalidRequest: Lengths differ, or a number is not finite.
        PayloadTooLarge: More than one request may hold.
        CacheUnavailable: The shared cache can't be reached; it may have taken none.
    """
    most = service.limits.texts
    if len(ready.texts) > most:
        raise PayloadTooLarge(f"{len(ready.texts)} texts; at most {most:,} in one request.", "texts")
    encoder = service.encoder(model, "text")
    info = ready_info(encoder)
    _check(ready, info)
    checked = sorted(SystemRandom().sample(range(len(ready.texts)), min(CHECKED, len(ready.texts))))
    await _try_out(ready, checked, encoder, info, service.limits.deadline_s)
    make_key = KeyMaker(request_context.current().cache_scope, info.fingerprint, "text").text
    entries = split(pack(ready.rows, ready.tokens, ready.truncated), len(ready.texts))
    await cache.warm([(make_key(text), entry) for text, entry in zip(ready.texts, entries, strict=True)])
    return len(entries), len(checked)


def _check(ready: ReadyVectors, info: ModelInfo) -> None:
    if ready.fingerprint != info.fingerprint:
        raise SpaceMismatch(
            f"These vectors are of a model with fingerprint {ready.fingerprint[:64]!r}; {info.id} serves here with "
            f"{info.fingerprint!r}. Embed the corpus with the model and the precision that serve.",
            "fingerprint",
        )
    count = len(ready.texts)
    if ready.rows.shape != (count, info.dimensions):
        raise InvalidRequest(
            f"`embeddings` has {ready.rows.size} numbers; {count} texts need {count} times {info.dimensions}.",
            "embeddings",
        )
    if len(ready.tokens) != count:
        raise InvalidRequest(f"`tokens` has {len(ready.tokens)} counts for {count} texts.", "tokens")
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(ready.rows).all(axis=1))
    if not finite.all():
        raise InvalidRequest(f"Row {int(np.argmin(finite))} has a number that is not finite.", "embeddings")


async def _try_out(
    ready: ReadyVectors, indices: Sequence[int], encoder: Encoder, info: ModelInfo, deadline_s: float
) -> None:
    futures = encoder.encode_texts([ready.texts[i] for i in indices])
    try:
        async with asyncio.timeout(deadline_s):
            outcomes = await asyncio.gather(*futures)
    except TimeoutError:
        raise DeadlineExceeded(f"The model did not answer within {deadline_s:g} s.") from None
    entries = []
    for outcome in outcomes:
        if not isinstance(outcome.entry, bytes):
            raise outcome.entry
        entries.append(outcome.entry)
    rows, tokens, truncated = unpack(entries)
    for place, i in enumerate(indices):
        given, own = ready.rows[i], rows[place]
        cosine = float(np.vecdot(normalize(given), normalize(own)))
        lengths = float(np.linalg.norm(given)), float(np.linalg.norm(own))
        if cosine < LEAST_COSINE or abs(lengths[0] - lengths[1]) > LENGTH_TOLERANCE * lengths[1]:
            raise SpaceMismatch(
                f"Row {i} is not what {info.id} makes of its text: cosine {cosine:.4f}, length {lengths[0]:.3g} "
                f"instead of {lengths[1]:.3g}. Nothing was stored.",
                "embeddings",
            )
        if (ready.tokens[i], ready.truncated[i]) != (int(tokens[place]), bool(truncated[place])):
            raise InvalidRequest(
                f"Text {i} has {tokens[place]} tokens{', cut' if truncated[place] else ''} to {info.id}.", "tokens"
            )
