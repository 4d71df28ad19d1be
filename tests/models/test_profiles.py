"""A throughput profile and a latency profile in one runner: which of them runs what, and what is warmed in each."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import openvino as ov
import pytest

from app.encoders.backends import openvino_runner
from app.encoders.backends.openvino_runner import OpenVinoRunner
from app.encoders.text import TextModel
from app.encoders.tokenizer import Tokenizer
from app.types import ModelInfo, TokenizedText

INFO = ModelInfo("fake", "f" * 32, 2, 16, ("text",), "fake", "f32")


class Compiled:
    """OpenVINO's compiled model: makes rows of `number`. Runs of several streams wait for each other."""

    def __init__(self, number: int, streams: int = 1) -> None:
        self.number = number
        self.shapes: Counter[tuple[int, ...]] = Counter()
        self.requests = 0
        self._together = threading.Barrier(streams)

    def create_infer_request(self) -> Any:
        self.requests += 1
        shape = [0]
        out = SimpleNamespace(data=None)

        def set_input_tensor(index: int, tensor: ov.Tensor) -> None:
            shape[:] = tensor.shape

        def infer() -> None:
            self._together.wait(120)
            self.shapes[tuple(shape)] += 1
            out.data = np.full((shape[0], 2), self.number, np.float32)

        return SimpleNamespace(set_input_tensor=set_input_tensor, infer=infer, get_output_tensor=lambda index: out)


@pytest.fixture
def released(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    files: list[Path] = []
    monkeypatch.setattr(openvino_runner.memory, "release", files.append)  # type: ignore[attr-defined]
    return files


def model_of(*compiled: Compiled, streams: int = 1) -> TextModel:
    tokenizer = MagicMock(Tokenizer, side_effect=lambda texts, _: [TokenizedText([1], False) for _ in texts])
    return TextModel(INFO, tokenizer, OpenVinoRunner(compiled, "f32", Path("model.bin"), streams), 0)


def test_each_stream_is_warmed_in_every_shape_and_the_latency_profile_in_those_of_one_text(
    released: list[Path],
) -> None:
    # A stream that ran a shape twice would wait for itself.
    throughput, latency = Compiled(2, streams=2), Compiled(1)
    model_of(throughput, latency, streams=2).warm([(1, 8), (2, 8), (1, 16)])
    assert throughput.shapes == {(1, 8): 2, (2, 8): 2, (1, 16): 2}
    assert latency.shapes == {(1, 8): 1, (1, 16): 1}
    assert released == [Path("model.bin")]


def test_one_profile_is_warmed_once(released: list[Path]) -> None:
    compiled = Compiled(1)
    model_of(compiled).warm([(1, 8), (2, 8)])
    assert compiled.shapes == {(1, 8): 1, (2, 8): 1}
    assert released == [Path("model.bin")]


@pytest.mark.parametrize(("numbers", "profiles", "exclusive"), [([2], (False,), 2), ([2, 1], (False, True), 1)])
def test_exclusive_runs_have_the_latency_profile_where_there_is_one(
    numbers: list[int], profiles: tuple[bool, ...], exclusive: int
) -> None:
    model = model_of(*map(Compiled, numbers))
    assert model.profiles == profiles
    assert (model.run([[1]])[0, 0], model.run([[1]], exclusive=True)[0, 0]) == (2, exclusive)
    assert (model.self_test()[0, 0], model.self_test(exclusive=True)[0, 0]) == (2, exclusive)


def test_one_text_alone_is_padded_to_a_length_that_has_a_graph_and_others_by_less(released: list[Path]) -> None:
    throughput, latency = Compiled(2), Compiled(1)
    model = model_of(throughput, latency)
    model.run([[1] * 9])
    model.run([[1] * 9], exclusive=True)
    assert (throughput.shapes, latency.shapes) == ({(1, 10): 1}, {(1, 16): 1})
    one = Compiled(2)
    model_of(one).run([[1] * 9], exclusive=True)
    assert one.shapes == {(1, 10): 1}


def test_each_thread_has_one_request_of_each_profile_that_it_runs() -> None:
    throughput, latency = Compiled(2, streams=2), Compiled(1)
    model = model_of(throughput, latency, streams=2)
    with ThreadPoolExecutor(2) as threads:
        for _ in range(3):
            for each in [threads.submit(model.run, [[1]]) for _ in range(2)]:
                each.result()
    for _ in range(3):
        model.run([[1]], exclusive=True)
    assert (throughput.requests, latency.requests) == (2, 1)
