"""The serving encoder, fed from a corpus: the same planner and graph, and so the same vectors; it only pads less."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from app import images
from app.batching import BatchQueue, Job
from app.encoders import ClipModel, TextTower, load_clip_model, load_text_model, shapes
from app.errors import ServiceError
from app.settings import Limits, ModelArgs
from app.types import Kind, ModelInfo, TokenizedText, Vector


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


LoadModel = Callable[[ModelArgs, Kind, int, bool], CorpusModel]


def load_model(args: ModelArgs, kind: Kind, threads: int, offline: bool) -> CorpusModel:
    """`kind`: what is to be embedded; decides between a text model and a CLIP."""
    if kind == "image":
        clip = load_clip_model(args, threads=threads, offline=offline)
        return ServingModel(clip.info, clip.text, clip, args)
    text = load_text_model(args, threads=threads, offline=offline)
    text.lengths = shapes.fine_lengths(text.info.max_tokens)
    return ServingModel(text.info, text, None, args)


class ServingModel:
    """A `CorpusModel` of the service's own towers. Threads may share it: one runs the model while others prepare."""

    def __init__(self, info: ModelInfo, text: TextTower, clip: ClipModel | None, args: ModelArgs) -> None:
        self.info = info
        self._text = text
        self._clip = clip
        self._args = args
        self._device = threading.Lock()

    def tokenize(self, texts: Sequence[str]) -> list[TokenizedText]:
        return self._text.tokenize(texts)

    def texts(self, texts: Sequence[str]) -> Encoded:
        tokenized = [text.ids for text in self.tokenize(texts)]
        lengths = [len(ids) for ids in tokenized]
        bucket = partial(shapes.bucket, grid=self._text.lengths)
        queue = BatchQueue(self._args.batch_size, self._args.batch_tokens, bucket)
        run: RunItems = lambda items: self._text.run([tokenized[i] for i in items])  # noqa: E731
        with self._device:
            rows, failed = run_planned(queue, lengths, self.info.dimensions, run)
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
                    picture = images.decode(files[i], Limits(), param="image")
                    pixels[i] = tower.preprocessing.normalize(tower.preprocessing.fit(picture))
                except ServiceError as error:
                    failed[i] = error.message
            if pixels:
                with self._device:
                    rows[list(pixels)] = tower.run(list(pixels.values()))
        return Encoded(rows, [0] * len(files), failed)


RunItems = Callable[[list[int]], Vector]


def run_planned(
    queue: BatchQueue, lengths: Sequence[int], dimensions: int, run: RunItems
) -> tuple[Vector, dict[int, str]]:
    """Every item through the queue's micro-batches; one that the model fails on costs only itself."""
    rows = np.zeros((len(lengths), dimensions), np.float32)
    failed: dict[int, str] = {}
    queue.push(Job(lengths), 0.0)
    while slices := queue.pop(0.0):
        for part in slices:
            try:
                rows[part.indices] = run(part.indices)
            except Exception:  # noqa: BLE001 - whatever the model raised, the items tell by themselves
                _one_by_one(part.indices, run, rows, failed)
    return rows, failed


def _one_by_one(indices: list[int], run: RunItems, rows: Vector, failed: dict[int, str]) -> None:
    for index in indices:
        try:
            rows[index] = run([index])[0]
        except Exception as error:  # noqa: BLE001 - the item's outcome, told in its reject
            failed[index] = f"the model failed on it ({type(error).__name__})"
