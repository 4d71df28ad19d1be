"""The model of a corpus run: the service's own batching and graph, hence the same vectors, but with less padding."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from app.config.args import Limits, ModelArgs
from app.encoders import shapes
from app.encoders.clip import ClipModel, load_clip_model
from app.encoders.sparse import load_sparse_model
from app.encoders.text import TextModel, load_text_model
from app.errors import ServiceError
from app.images import decoder
from app.inference.batch_queue import BatchQueue, Job, Slice
from app.service import prompts
from app.types import ModelInfo, Prompted, ReadOptions, Rows, Span, TokenizedText, Vector
from app.words import ChunkBy, Kind


@dataclass(frozen=True, slots=True)
class EncodedRows:
    """(n, d) rows of model output, or n packed ones, the token count of each item, the reason for each item that
    failed, and how many texts were truncated."""

    rows: Rows
    tokens: list[int]
    failed: dict[int, str]
    truncated: int = 0


class CorpusModel(Protocol):
    @property
    def info(self) -> ModelInfo: ...

    def tokenize(self, texts: Sequence[str]) -> list[TokenizedText]: ...
    def texts(self, texts: Sequence[str], task: str = "document") -> EncodedRows:
        """`task`: how a sparse encoder reads them."""

    def chunks(
        self, texts: Sequence[str], size: int | None, overlap: int, by: ChunkBy, prompt: str | None, most: int
    ) -> list[list[Span]]: ...
    def images(self, files: Sequence[bytes]) -> EncodedRows: ...


LoadModel = Callable[[ModelArgs, Kind, int, bool], CorpusModel]


def load_model(args: ModelArgs, kind: Kind, threads: int, offline: bool) -> CorpusModel:
    """`kind`: text, image or sparse; selects a text model, a CLIP model or a sparse encoder."""
    if kind == "image":
        clip = load_clip_model(args, threads=threads, offline=offline)
        return ServingModel(clip.info, clip.text, clip, args)
    # One stream per thread: threads that share a run wait for each other, and for other load on the machine.
    load = load_sparse_model if kind == "sparse" else load_text_model
    text = load(args, threads=threads, offline=offline, streams=threads)
    return ServingModel(text.info, text, None, args)


class ServingModel:
    """A `CorpusModel` that uses the service's own encoders. Thread-safe: one thread runs the model, others prepare. A
    stream that finishes one thread's texts continues with the next thread's without waiting for other streams."""

    def __init__(self, info: ModelInfo, text: TextModel, clip: ClipModel | None, args: ModelArgs) -> None:
        self.info = info
        self._text = text
        self.chunks = text.chunks
        self._clip = clip
        self._args = args
        self._image_lock = threading.Lock()
        self._streams = ThreadPoolExecutor(text.streams, "model")

    def tokenize(self, texts: Sequence[str]) -> list[TokenizedText]:
        return self._text.tokenize(texts)

    def texts(self, texts: Sequence[str], task: str = "document") -> EncodedRows:
        tokenized = self._as(texts, task) if self.info.is_ragged else self.tokenize(texts)
        lengths = [len(text.ids) for text in tokenized]
        bucket = partial(shapes.bucket, grid=self._text.lengths)
        queue = BatchQueue(self._args.batch_size, self._args.batch_tokens, bucket)
        run: RunItems = lambda items: self._text.run([tokenized[i].ids for i in items])  # noqa: E731
        width = 0 if self.info.is_ragged else self.info.dimensions
        rows, failed = run_planned(queue, lengths, width, run, self._streams, self._text.streams)
        return EncodedRows(rows, lengths, failed, sum(text.truncated for text in tokenized))

    def _as(self, texts: Sequence[str], task: str) -> list[TokenizedText]:
        """The texts as the service reads those of this `input_type`."""
        prompt = prompts.choose(self.info, ReadOptions(input_type=task))
        way = task if task in self.info.routes else None
        read = self._text.read([Prompted(text, prompt, task=way) for text in texts])
        return [one for one in read if isinstance(one, TokenizedText)]

    def images(self, files: Sequence[bytes]) -> EncodedRows:
        assert self._clip is not None  # noqa: S101 - loaded for images
        encoder = self._clip.image
        failed: dict[int, str] = {}
        rows = np.zeros((len(files), self.info.dimensions), np.float32)
        # Decoded pictures are large, so no more than one batch is kept in memory.
        for start in range(0, len(files), self._args.batch_size):
            pixels: dict[int, Vector] = {}
            for i in range(start, min(len(files), start + self._args.batch_size)):
                try:
                    picture = decoder.decode(files[i], Limits(), param="image")
                    pixels[i] = encoder.preprocessing.normalize(encoder.preprocessing.fit(picture))
                except ServiceError as error:
                    failed[i] = error.message
            if pixels:
                with self._image_lock:
                    rows[list(pixels)] = encoder.run(list(pixels.values()))
        return EncodedRows(rows, [0] * len(files), failed)


RunItems = Callable[[list[int]], Rows]


def run_planned(
    queue: BatchQueue, lengths: Sequence[int], dimensions: int, run: RunItems, threads: Executor, streams: int
) -> tuple[Rows, dict[int, str]]:
    """Run all items in the queue's micro-batches on `streams` threads. An item on which the model fails fails alone.
    `dimensions`: of the rows; 0: they are packed."""
    rows = np.zeros((len(lengths), dimensions), np.float32) if dimensions else np.full(len(lengths), b"", object)
    failed: dict[int, str] = {}
    queue.push(Job(lengths))
    queue_lock = threading.Lock()

    def next_batch() -> list[Slice]:
        with queue_lock:
            return queue.pop(0.0)

    def run_stream() -> None:
        while slices := next_batch():
            for part in slices:
                try:
                    rows[part.indices] = run(part.indices)
                except Exception:  # noqa: BLE001 - the items are run one by one to find the one that fails
                    _one_by_one(part.indices, run, rows, failed)

    for stream in [threads.submit(run_stream) for _ in range(streams)]:
        stream.result()
    return rows, failed


def _one_by_one(indices: list[int], run: RunItems, rows: Rows, failed: dict[int, str]) -> None:
    for index in indices:
        try:
            rows[index] = run([index])[0]
        except Exception as error:  # noqa: BLE001 - becomes the item's reject
            failed[index] = f"the model failed on it ({type(error).__name__})"
