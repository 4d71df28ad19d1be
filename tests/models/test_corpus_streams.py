"""Several runs of one model at once: all rows are there, each is its own text's, and they do overlap."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from app.config.args import DEFAULT_TEXT_MODEL, ModelArgs
from app.corpus.model import ServingModel, run_planned
from app.encoders.text import load_text_model
from app.inference.batch_queue import BatchQueue
from app.types import ModelInfo, TokenizedText, Vector
from tests.support.texts import varied

LENGTHS = [3, 9, 4, 8, 5, 7, 6, 2]


def planned(run: "Runs", streams: int) -> tuple[Vector, dict[int, str]]:
    with ThreadPoolExecutor(streams) as threads:
        return run_planned(BatchQueue(2, 64, lambda n: n), LENGTHS, 1, run, threads, streams)


class Runs:
    """A model that makes each item's number of it; every run waits until so many are there."""

    def __init__(self, together: int, poison: int = -1) -> None:
        self.items: list[int] = []
        self._met = threading.Barrier(together)
        self._poison = poison

    def __call__(self, indices: Sequence[int]) -> Vector:
        if len(indices) > 1:
            self._met.wait(120)
        if self._poison in indices:
            raise ValueError("poison")
        self.items.extend(indices)
        return np.asarray([[index] for index in indices], np.float32)


@pytest.mark.parametrize("streams", [1, 2])
def test_so_many_runs_at_once_and_every_item_in_one(streams: int) -> None:
    runs = Runs(streams)
    rows, failed = planned(runs, streams)
    assert (rows[:, 0].tolist(), failed) == ([*range(8)], {})
    assert sorted(runs.items) == [*range(8)]


def test_what_the_model_fails_on_costs_only_itself() -> None:
    rows, failed = planned(Runs(2, poison=3), 2)
    assert failed == {3: "the model failed on it (ValueError)"}
    assert np.delete(rows[:, 0], 3).tolist() == [0, 1, 2, 4, 5, 6, 7]


def test_streams_of_a_real_model_give_each_thread_its_own_rows() -> None:
    model = load_text_model(ModelArgs(id=DEFAULT_TEXT_MODEL), threads=2, offline=True, streams=2)
    assert model.streams == 2
    batches = [[text.ids] for text in model.tokenize([text for text in varied(60) if text.strip()])]
    alone = [model.run(batch) for batch in batches]
    with ThreadPoolExecutor(2) as threads:
        together = [*threads.map(model.run, batches)]
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


class Twins:
    """A `TextModel` of two streams whose runs wait for one another: neither ends alone."""

    streams, lengths = 2, (8,)
    info = ModelInfo("twins", "f", 1, 8, ("text",), "none", "f32")

    def __init__(self) -> None:
        self._met = threading.Barrier(2)

    def tokenize(self, texts: Sequence[str]) -> list[TokenizedText]:
        return [TokenizedText([1], False) for _ in texts]

    def chunks(self, *_: object) -> None:
        raise NotImplementedError

    def run(self, batch: Sequence[Sequence[int]]) -> Vector:
        self._met.wait(120)
        return np.ones((len(batch), 1), np.float32)


def test_a_stream_with_nothing_left_goes_on_with_anothers_texts() -> None:
    twins = Twins()
    model = ServingModel(twins.info, twins, None, ModelArgs(id="twins"))  # type: ignore[arg-type]
    with ThreadPoolExecutor(2) as threads:
        encoded = [*threads.map(model.texts, [["one"], ["other"]])]
    assert [(each.rows.tolist(), each.failed) for each in encoded] == [([[1.0]], {})] * 2


def test_there_are_no_more_streams_than_threads() -> None:
    assert load_text_model(ModelArgs(id=DEFAULT_TEXT_MODEL), threads=1, offline=True, streams=2).streams == 1
