"""The model in process, without service: what a service is measured against. As the service runs it, on its grid of
shapes, or `fastest`.

It runs in a process of its own, with as many threads as the machine has CPUs, and answers the benchmark over a
pipe with the times that it took. Tokenising, decoding and preprocessing are included; the pipe is not.
"""

import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from app.config.args import Limits, ModelArgs
from app.encoders.clip import ImageModel, load_clip_model
from app.encoders.text import load_text_model
from app.images.decoder import decode
from loadtests.fastest_model import FastestModel

BATCHES = (8, 16, 32)


class RawModel:
    """Each method gives seconds, one number per call it made."""

    def __init__(
        self, text_model: str, image_model: str | None = None, precision: str = "auto", *, fastest: bool = False
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        args = theirs, text_model, image_model, precision, fastest
        self._process = context.Process(target=_serve, args=args, daemon=True)
        self._process.start()
        theirs.close()  # else its end would not be heard of
        if self._pipe.recv() != "ready":
            raise RuntimeError("the raw model did not load")

    def texts(self, calls: Sequence[Sequence[str]], pause_s: float = 0.0) -> list[float]:
        """Time each call by itself, as one client that waits for every answer, and `pause_s` before the next."""
        return self._ask("texts", (calls, pause_s))

    def images(self, calls: Sequence[Sequence[bytes]]) -> list[float]:
        return self._ask("images", calls)

    def best(self, texts: Sequence[str]) -> float:
        """Seconds for all of them, sorted by length, at the best batch size."""
        return min(self._ask("all", (texts, size))[0] for size in BATCHES)

    def close(self) -> None:
        self._pipe.send(None)
        self._process.join(10)

    def _ask(self, name: str, what: Any) -> list[float]:
        self._pipe.send((name, what))
        answer: list[float] = self._pipe.recv()
        return answer


class _OnGrid:
    """The model as the service has it."""

    def __init__(self, text_model: str, precision: str, threads: int) -> None:
        self._model = load_text_model(ModelArgs(id=text_model, precision=precision), threads=threads, offline=True)
        self._model.warm([(size, length) for size in (1, 2, 4, 8, 16, 32) for length in (8, 16, 24, 32)])

    def prepare(self, calls: Sequence[Sequence[str]]) -> None:
        """Build the kernels of what these are alike in; a shape that only some have costs them a moment."""
        self.encode(calls[0])

    def encode(self, texts: Sequence[str]) -> None:
        self._model.run([text.ids for text in self._model.tokenize(texts)])

    def encode_all(self, texts: Sequence[str], size: int) -> None:
        ids = sorted((text.ids for text in self._model.tokenize(texts)), key=len)
        for start in range(0, len(ids), size):
            self._model.run(ids[start : start + size])


def _serve(pipe: Any, text_model: str, image_model: str | None, precision: str, fastest: bool) -> None:
    threads = os.cpu_count() or 1
    model = (FastestModel if fastest else _OnGrid)(text_model, precision, threads)
    clip = (
        load_clip_model(ModelArgs(id=image_model, precision=precision), threads=threads, offline=True)
        if image_model
        else None
    )
    with ThreadPoolExecutor(threads) as pool:
        if clip is not None:
            clip.image.warm(32)
        pipe.send("ready")
        while (request := pipe.recv()) is not None:
            name, what = request
            if name == "texts":
                calls, pause_s = what
                model.prepare(calls)
                pipe.send([_timed(model.encode, texts, pause_s=pause_s) for texts in calls])
            elif name == "images" and clip is not None:
                pipe.send([_timed(_see, clip.image, files, pool) for files in what])
            else:
                texts, size = what
                model.encode_all(texts, size)  # kernels of new shapes are built outside the measured run
                pipe.send([_timed(model.encode_all, texts, size)])


def _timed(run: Any, *args: Any, pause_s: float = 0.0) -> float:
    time.sleep(pause_s)
    started = time.perf_counter()
    run(*args)
    return time.perf_counter() - started


def _see(model: ImageModel, files: Sequence[bytes], pool: ThreadPoolExecutor) -> None:
    limits, reads = Limits(), model.preprocessing
    model.run(list(pool.map(lambda file: reads.normalize(reads.fit(decode(file, limits, param="images"))), files)))
