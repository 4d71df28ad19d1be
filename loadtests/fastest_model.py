"""The fastest ways known to run a text model in this process: what the service's grid of shapes costs shows beside it.

Texts are padded to the longest of their own batch, to no grid. One text alone has a graph compiled for exactly its
length. Of many, two batches run at once on half of the threads each.
"""

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from app.config.args import ModelArgs
from app.encoders.backends import openvino_models
from app.encoders.text import load_text_model

STREAMS = 2
LARGEST = 32


class FastestModel:
    """Converts the model anew, to know which files are its own. Raises RuntimeError for one that OpenVINO can't run."""

    def __init__(self, text_model: str, precision: str, threads: int) -> None:
        self._core = ov.Core()
        with tempfile.TemporaryDirectory() as folder:
            args = ModelArgs(id=text_model, precision=precision, cache_dir=folder)
            model = load_text_model(args, threads=threads, offline=True)
            files = [*Path(folder).glob(f"text-*/{openvino_models.MODEL}")]
            if model.info.backend != "openvino" or len(files) != 1:
                raise RuntimeError(f"{text_model} runs on {model.info.backend}")
            self._graph = self._core.read_model(files[0])
            self._precision, self._threads, self._tokenize = model.info.precision, threads, model.tokenize
            many = self._compiled(self._graph, STREAMS)
        self._requests = [many.create_infer_request() for _ in range(STREAMS)]
        self._pool = ThreadPoolExecutor(STREAMS)
        self._alone: dict[int, Any] = {}

    def prepare(self, calls: Sequence[Sequence[str]]) -> None:
        """Compile what lone texts among these need, and build the kernels of the others."""
        for texts in calls:
            if len(texts) > 1:
                self.encode(texts)
            elif (length := len(self._tokenize(texts)[0].ids)) not in self._alone:
                graph = self._graph.clone()
                graph.reshape({port.any_name: [1, length] for port in graph.inputs})
                self._alone[length] = self._compiled(graph, 1).create_infer_request()

    def encode(self, texts: Sequence[str]) -> None:
        self.encode_all(texts, LARGEST)

    def encode_all(self, texts: Sequence[str], size: int) -> None:
        ids = sorted((text.ids for text in self._tokenize(texts)), key=len)
        if len(ids) == 1:
            openvino_models.infer(self._alone[len(ids[0])], _padded(ids))
            return
        size = min(size, -(-len(ids) // STREAMS))
        batches = iter([ids[start : start + size] for start in range(0, len(ids), size)])

        def work(request: Any) -> None:
            for batch in batches:  # a list's iterator: each batch goes to one of the threads
                openvino_models.infer(request, _padded(batch))

        list(self._pool.map(work, self._requests))

    def _compiled(self, graph: Any, streams: int) -> Any:
        return openvino_models.compiled(self._core, graph, self._precision, self._threads, streams)


def _padded(batch: Sequence[Sequence[int]]) -> tuple[Any, Any]:
    ids = np.zeros((len(batch), max(map(len, batch))), np.int32)
    mask = np.zeros_like(ids)
    for row, sequence in enumerate(batch):
        ids[row, : len(sequence)], mask[row, : len(sequence)] = sequence, 1
    return ids, mask
