"""Embeds long texts in chunks: each on its own, or late, pooled behind a pass over the whole text."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.errors import DeadlineExceeded, InvalidRequest, PayloadTooLarge, ServiceError
from app.service import prompts, request_context
from app.service.batch import renamed
from app.service.embedding_service import DEFAULT_READING, EmbeddingService
from app.service.encoder import Encoded, Encoder, Stages, ready
from app.service.result import EmbeddingResult
from app.telemetry.metrics import ITEMS_ANSWERED
from app.types import ModelInfo, ReadOptions, Span
from app.words import ChunkBy

CALLS = 8  # of one request at once: a late text is one


@dataclass(frozen=True, slots=True)
class ChunkRule:
    """`size` and `overlap` in the model's tokens, special ones and the prompt not counted; as in the tokenizer."""

    size: int | None = None
    overlap: int = 0
    by: ChunkBy = "tokens"


@dataclass(frozen=True, slots=True)
class Chunked:
    """`result`: of all chunks of all texts, in order. `windows`: in how many parts each text was read; none if its
    chunks were read on their own."""

    result: EmbeddingResult
    spans: Sequence[Sequence[Span]]
    windows: Sequence[int]

    @property
    def notes(self) -> list[str]:
        """That a document was not read at once, for responses that have no other place for it."""
        most = max(self.windows)
        words = (
            f"A document is longer than {self.result.info.id} reads at once: it was read in {most} overlapping parts."
        )
        return [words] if most > 1 else []


async def embed_chunks(
    service: EmbeddingService,
    texts: Sequence[str],
    names: Sequence[str],
    rule: ChunkRule,
    model: str | None = None,
    reading: ReadOptions = DEFAULT_READING,
    *,
    late: bool = False,
) -> Chunked:
    """`names`: of the texts in errors. Raises PayloadTooLarge if there are more chunks than texts may be in a request,
    InvalidRequest if the model reads fewer tokens than a chunk has, or can't pool late."""
    most = service.limits.texts
    if len(texts) > most:
        raise PayloadTooLarge(f"{len(texts)} texts; at most {most:,} in one request.", "texts")
    encoder = service.encoder(model, "text")
    info = ready(encoder)
    prompt = prompts.choose(info, reading)
    if late:
        _require_late(encoder, info, "late")
    spans = await encoder.chunks(texts, rule.size, rule.overlap, rule.by, prompt, most)
    if sum(map(len, spans)) > most:
        message = f"More than {most:,} chunks; at most so many in one request. Raise `size`, or send less text."
        raise PayloadTooLarge(message, "size")
    if late:
        return await _pooled(service, encoder, info, texts, spans, prompt, lambda text, _: names[text])
    owners = [i for i, own in enumerate(spans) for _ in own]
    pieces = [text[start:end] for text, own in zip(texts, spans, strict=True) for start, end in own]
    for owner, piece in zip(owners, pieces, strict=True):
        service.check_text(piece, names[owner])
    result = await service.embed_texts(pieces, model, reading=reading)
    result.entries = [
        renamed(entry, names[owner]) if isinstance(entry, ServiceError) else entry
        for entry, owner in zip(result.entries, owners, strict=True)
    ]
    return Chunked(result, spans, [0] * len(texts))


async def embed_documents(
    service: EmbeddingService,
    documents: Sequence[Sequence[str]],
    param: str,
    name: Callable[[int, int], str],
    model: str | None,
    reading: ReadOptions,
    asked_by: str,
) -> Chunked:
    """One vector per chunk of each document, whose chunks are joined by spaces. `param`: the field of all of them;
    `name`: of a document's chunk in errors; `asked_by`: the field that asks for it."""
    count, most = sum(map(len, documents)), service.limits.texts
    if count > most:
        raise PayloadTooLarge(f"{count} texts; at most {most:,} in one request.", param)
    texts = [" ".join(document) for document in documents]
    if (size := sum(map(len, texts))) > service.limits.chunk_body:
        message = f"{size:,} characters to read as documents; at most {service.limits.chunk_body:,} in one request."
        raise PayloadTooLarge(message, param)
    encoder = service.encoder(model, "text")
    info = ready(encoder)
    _require_late(encoder, info, asked_by)
    spans: list[list[Span]] = []
    for document in documents:
        own: list[Span] = []
        spans.append(own)
        for chunk in document:
            start = own[-1][1] + 1 if own else 0
            own.append((start, start + len(chunk)))
    return await _pooled(service, encoder, info, texts, spans, prompts.choose(info, reading), name)


def _require_late(encoder: Encoder, info: ModelInfo, field: str) -> None:
    """Raises InvalidRequest if the model has no token vectors whose mean is a chunk's vector; Overloaded."""
    why = None
    if info.pooling != ("mean",):
        why = f"it is pooled by {' and '.join(info.pooling)}" if info.pooling else "its vectors are no means of tokens"
    elif info.backend == "static":
        why = "its token vectors know nothing of the text around them"
    elif getattr(info, "routes", {}):
        why = "it reads texts of different tasks in different ways"
    if why:
        raise InvalidRequest(f"`{field}` is for models that are mean-pooled, which {info.id} is not: {why}.", field)
    if (refusal := encoder.refusal("text")) is not None:
        raise refusal


async def _pooled(
    service: EmbeddingService,
    encoder: Encoder,
    info: ModelInfo,
    texts: Sequence[str],
    spans: Sequence[Sequence[Span]],
    prompt: str | None,
    name: Callable[[int, int], str],
) -> Chunked:
    """Not cached: a chunk's vector depends on all of its text."""
    turns = asyncio.Semaphore(CALLS)

    async def pool(index: int) -> list[Encoded]:
        if not (own := spans[index]):
            return []
        async with turns:
            try:
                return await encoder.pool_spans(texts[index], own, prompt)
            except ServiceError as error:
                if error.param is None or not error.param.isdigit():
                    raise
                raise type(error)(error.message, name(index, int(error.param))) from None

    try:
        with encoder.track(texts):
            async with asyncio.timeout(service.limits.deadline_s), asyncio.TaskGroup() as group:
                tasks = [group.create_task(pool(index)) for index in range(len(texts))]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    except TimeoutError:
        message = f"The documents were not read within {service.limits.deadline_s:g} s: send fewer in one request."
        raise DeadlineExceeded(message) from None
    done = [task.result() for task in tasks]
    entries = [encoded.entry for own in done for encoded in own]
    request_context.current().count_tokens(entries)
    service.registry.count(ITEMS_ANSWERED, info.id, "text", by=len(entries))
    stages = [own[0].stages for own in done if own]
    result = EmbeddingResult(info, entries, [False] * len(entries), stages[-1] if stages else Stages())
    return Chunked(result, spans, [own[0].stages.batches if own else 0 for own in done])
