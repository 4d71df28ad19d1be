"""The serving encoder, fed from a corpus: the same planner and graph, and so the same vectors; it only pads less."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from app.config.args import Limits, ModelArgs
from app.encoders import ClipModel, TextModel, load_clip_model, load_text_model, shapes
from app.errors import ServiceError
from app.images import decoder
from app.inference.batch_queue import BatchQueue, Job, Slice
from app.types import Modality, ModelInfo, TokenizedText, Vector

WARM_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Encoded:
    """(n, d) rows in the model's own scale, tokens of each item, and why some have no row."""

    rows: Vector
    tokens: list[int]
    failed: dict[int, str]


class CorpusModel(Protocol):
    @property
    def info(self) -> ModelInfo: ...

    def tokenize(self, texts: Sequence[str]) -> list[TokenizedText]: ...
    def texts(self, texts: Sequence[str]) -> Encoded: ...
    def images(self, files: Sequence[bytes]) -> Encoded: ...


LoadModel = Callable[[ModelArgs, Modality, int, bool], CorpusModel]


def load_model(args: ModelArgs, kind: Modality, threads: int, offline: bool) -> CorpusModel:
    """`kind`: what is to be embedded; decides between a text model and a CLIP."""
    if kind == "image":
        clip = load_clip_model(args, threads=threads, offline=offline)
        return ServingModel(clip.info, clip.text, clip, args)
    # One run for each thread: those of one run wait for each other, and for whatever else the machine does.
    text = load_text_model(args, threads=threads, offline=offline, streams=threads)
    text.lengths = shapes.fine_lengths(text.info.max_tokens)
    model = ServingModel(text.info, text, None, args)
    model.warm()
    return model


class ServingModel:
    """A `CorpusModel` of the service's own models. Threads may share it: one runs the model while others prepare.

    A stream that finds nothing left of one thread's texts goes on with the next one's: it never waits for the other.
    """

    def __init__(self, info: ModelInfo, text: TextModel, clip: ClipModel | None, args: ModelArgs) -> None:
        self.info = info
        self._text = text
        self._clip = clip
        self._args = args
        self._device = threading.Lock()  # of images
        self._streams = ThreadPoolExecutor(text.streams, "model")

    def warm(self) -> None:
        """Make the kernels of most passages before there is work: a pass over them in every stream."""
        # Some tokenizers add none: any id makes a kernel.
        [token, *_] = [*self._text.tokenize(["a"])[0].ids, 0]
        lengths = [length for length in self._text.lengths if length <= WARM_TOKENS]

        def run() -> None:
            for length in lengths:
                rows = min(self._args.batch_size, max(1, self._args.batch_tokens // length))
                self._text.run([[token] * length] * rows)

        for stream in [self._streams.submit(run) for _ in range(self._text.streams)]:
            stream.result()

    def tokenize(self, texts: Sequence[str]) -> list[TokenizedText]:
        return self._text.tokenize(texts)

    def texts(self, texts: Sequence[str]) -> Encoded:
        tokenized = [text.ids for text in self.tokenize(texts)]
        lengths = [len(ids) for ids in tokenized]
        bucket = partial(shapes.bucket, grid=self._text.lengths)
        queue = BatchQueue(self._args.batch_size, self._args.batch_tokens, bucket)
        run: RunItems = lambda items: self._text.run([tokenized[i] for i in items])  # noqa: E731
        rows, failed = run_planned(queue, lengths, self.info.dimensions, run, self._streams, self._text.streams)
        return Encoded(rows, lengths, failed)

    def images(self, files: Sequence[bytes]) -> Encoded:
        assert self._clip is not None  # noqa: S101 - loaded for images
        tower = self._clip.image
        pixels: dict[int, Vector] = {}
        failed: dict[int, str] = {}
        rows = np.zeros((len(files), self.info.dimensions), np.float32)
        # Decoded pictures are large: no more of them at once than the model takes.
        for start in range(0, len(files), self._args.batch_size):
            pixels.clear()
            for i in range(start, min(len(files), start + self._args.batch_size)):
                try:
                    picture = decoder.decode(files[i], Limits(), param="image")
                    pixels[i] = tower.preprocessing.normalize(tower.preprocessing.fit(picture))
                except ServiceError as error:
                    failed[i] = error.message
            if pixels:
                with self._device:
                    rows[list(pixels)] = tower.run(list(pixels.values()))
        return Encoded(rows, [0] * len(files), failed)


RunItems = Callable[[list[int]], Vector]


def run_planned(
    queue: BatchQueue, lengths: Sequence[int], dimensions: int, run: RunItems, threads: Executor, streams: int
) -> tuple[Vector, dict[int, str]]:
    """Every item through the queue's micro-batches, `streams` at once; one the model fails on costs only itself."""
    rows = np.zeros((len(lengths), dimensions), np.float32)
    failed: dict[int, str] = {}
    queue.push(Job(lengths), 0.0)
    taking = threading.Lock()

    def take() -> list[Slice]:
        with taking:
            return queue.pop(0.0)

    def work() -> None:
        while slices := take():
            for part in slices:
                try:
                    rows[part.indices] = run(part.indices)
                except Exception:  # noqa: BLE001 - whatever the model raised, the items tell by themselves
                    _one_by_one(part.indices, run, rows, failed)

    for stream in [threads.submit(work) for _ in range(streams)]:
        stream.result()
    return rows, failed


def _one_by_one(indices: list[int], run: RunItems, rows: Vector, failed: dict[int, str]) -> None:
    for index in indices:
        try:
            rows[index] = run([index])[0]
        except Exception as error:  # noqa: BLE001 - the item's outcome, told in its reject
            failed[index] = f"the model failed on it ({type(error).__name__})"
