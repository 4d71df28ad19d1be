"""Stores vectors in the cache that the served model has computed elsewhere.

The cache trusts its entries, so the vectors are verified: the fingerprint must be the served model's, and a sample of
the texts is embedded here and compared.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from secrets import SystemRandom

import numpy as np

from app.cache.entry import pack, split, unpack
from app.cache.keys import KeyMaker
from app.errors import DeadlineExceeded, InvalidRequest, PayloadTooLarge, SpaceMismatch
from app.service import request_context
from app.service.embedding_service import EmbeddingService
from app.service.encoder import Encoder
from app.service.encoder import ready as ready_info
from app.service.result import successes
from app.types import ModelInfo, Vector
from app.vectors.similarity import normalize

CHECKED = 4  # texts per request that are embedded here, chosen at random
# The same text in bf16 in differently shaped batches stays within both.
MIN_COSINE, LENGTH_TOLERANCE = 0.999, 0.02
Entries = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class ReadyVectors:
    """(n, d) rows of model output, with each text's token count and whether it was truncated."""

    fingerprint: str
    texts: Sequence[str]
    rows: Vector
    tokens: Sequence[int]
    truncated: Sequence[bool]


async def warm(
    service: EmbeddingService, store: Callable[[Entries], Awaitable[None]], ready: ReadyVectors, model: str | None
) -> tuple[int, int]:
    """Verify vectors and store them in the caller's cache scope. Returns the number stored and the number verified.

    Raises:
        SpaceMismatch: The vectors are of another model, or this model computes other vectors for these texts.
        InvalidRequest: Lengths differ, or a number is not finite.
        PayloadTooLarge: There are too many texts for one request.
        CacheUnavailable: The shared cache can't be reached; possibly no vector was stored.
    """
    limit = service.limits.texts
    if len(ready.texts) > limit:
        raise PayloadTooLarge(f"{len(ready.texts)} texts; at most {limit:,} in one request.", "texts")
    encoder = service.encoder(model, "text")
    info = ready_info(encoder)
    _check(ready, info)
    checked = sorted(SystemRandom().sample(range(len(ready.texts)), min(CHECKED, len(ready.texts))))
    await _verify_sample(ready, checked, encoder, info, service.limits.deadline_s)
    make_key = KeyMaker(request_context.current().cache_scope, info.fingerprint, "text").text
    entries = split(pack(ready.rows, ready.tokens, ready.truncated), len(ready.texts))
    await store([(make_key(text), entry) for text, entry in zip(ready.texts, entries, strict=True)])
    return len(entries), len(checked)


def _check(ready: ReadyVectors, info: ModelInfo) -> None:
    if ready.fingerprint != info.fingerprint:
        raise SpaceMismatch(
            f"These vectors are of a model with fingerprint {ready.fingerprint[:64]!r}, but {info.id} is served with "
            f"{info.fingerprint!r}. Embed the corpus with the served model and precision.",
            "fingerprint",
        )
    count = len(ready.texts)
    if ready.rows.shape != (count, info.dimensions):
        raise InvalidRequest(
            f"`embeddings` has {ready.rows.size} numbers; {count} texts need {count} × {info.dimensions}.",
            "embeddings",
        )
    if len(ready.tokens) != count:
        raise InvalidRequest(f"`tokens` has {len(ready.tokens)} counts for {count} texts.", "tokens")
    bad = np.flatnonzero(~np.isfinite(ready.rows).all(axis=1))
    if bad.size:
        raise InvalidRequest(f"Row {bad[0]} of `embeddings` has a number that is not finite.", "embeddings")


async def _verify_sample(
    ready: ReadyVectors, indices: Sequence[int], encoder: Encoder, info: ModelInfo, deadline_s: float
) -> None:
    futures = encoder.encode_texts([ready.texts[i] for i in indices])
    try:
        async with asyncio.timeout(deadline_s):
            outcomes = await asyncio.gather(*futures)
    except TimeoutError:
        raise DeadlineExceeded(f"The model did not answer within {deadline_s:g} s.") from None
    entries = successes(outcome.entry for outcome in outcomes)
    for i, own, tokens, truncated in zip(indices, *unpack(entries), strict=True):
        given = ready.rows[i]
        cosine = float(np.vecdot(normalize(given), normalize(own)))
        lengths = float(np.linalg.norm(given)), float(np.linalg.norm(own))
        if cosine < MIN_COSINE or abs(lengths[0] - lengths[1]) > LENGTH_TOLERANCE * lengths[1]:
            raise SpaceMismatch(
                f"Row {i} is not the vector that {info.id} computes for its text: cosine {cosine:.4f}, length "
                f"{lengths[0]:.3g} instead of {lengths[1]:.3g}. Nothing was stored.",
                "embeddings",
            )
        if (ready.tokens[i], ready.truncated[i]) != (int(tokens), bool(truncated)):
            state = "truncated" if truncated else "not truncated"
            raise InvalidRequest(
                f"For {info.id}, text {i} has {tokens} tokens and is {state}; correct `tokens`, `truncated`.",
                "tokens",
            )
