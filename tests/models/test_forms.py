"""`app.encoders.text` with a graph in two forms: which of them runs what, and what is warmed in each."""

import threading
from collections import Counter
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from app.encoders.backends.contract import Runner
from app.encoders.text import TextTower
from app.encoders.tokenizer import Tokenizer
from app.types import ModelInfo, TokenizedText, Vector

INFO = ModelInfo("fake", "f" * 32, 2, 16, ("text",), "fake", "f32")


class Form:
    """Makes rows of `number`; runs of several streams wait for each other."""

    name, precision, device, fixed_shapes = "fake", "f32", "cpu", True

    def __init__(self, number: int, streams: int, alone: "Form | None" = None) -> None:
        self.number = number
        self.streams = streams
        self.alone: Runner = alone or self
        self.shapes: Counter[tuple[int, ...]] = Counter()
        self.released = 0
        self._together: threading.Barrier | None = None

    def together(self) -> None:
        self._together = threading.Barrier(self.streams)

    def __call__(self, *inputs: NDArray[Any]) -> Vector:
        if self._together is not None:
            self._together.wait(10)
        self.shapes[inputs[0].shape] += 1
        return np.full((len(inputs[0]), 2), self.number, np.float32)

    def warmed(self) -> None:
        self.released += 1


def tower_of(form: Form) -> TextTower:
    def tokenize(texts: list[str], prompt: str | None) -> list[TokenizedText]:
        return [TokenizedText([1], False) for _ in texts]

    return TextTower(INFO, cast(Tokenizer, tokenize), form, 0)


def test_each_stream_is_warmed_in_every_shape_and_what_runs_alone_in_those_of_one_text() -> None:
    alone = Form(1, 1)
    streams = Form(2, 2, alone)
    streams.together()  # one stream that runs a shape twice would wait for itself
    tower_of(streams).warm([(1, 8), (2, 8), (1, 16)])
    assert streams.shapes == {(1, 8): 2, (2, 8): 2, (1, 16): 2}
    assert alone.shapes == {(1, 8): 1, (1, 16): 1}
    assert streams.released == 1


def test_one_form_is_warmed_once() -> None:
    form = Form(1, 1)
    tower_of(form).warm([(1, 8), (2, 8)])
    assert form.shapes == {(1, 8): 1, (2, 8): 1}


@pytest.mark.parametrize(("alone", "numbers"), [(None, [2]), (Form(1, 1), [2, 1])])
def test_every_form_proves_itself_and_runs_what_it_is_for(alone: Form | None, numbers: list[int]) -> None:
    tower = tower_of(Form(2, 2, alone))
    assert [rows[0, 0] for rows in tower.golden()] == numbers
    assert (tower.run([[1]])[0, 0], tower.run_alone([[1]])[0, 0]) == (numbers[0], numbers[-1])
