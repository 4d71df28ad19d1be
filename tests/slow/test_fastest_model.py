"""What the benchmarks call the fastest way in process runs every text, at its exact length, and makes its vector."""

from typing import Any

import numpy as np
import pytest

from app.config.args import DEFAULT_TEXT_MODEL, ModelArgs
from app.encoders.backends import openvino_models
from app.encoders.text import load_text_model
from loadtests.fastest_model import FastestModel

TEXTS = ["one", "two words", *(f"a text of some more words {n}" for n in range(40))]


def test_each_text_is_run_once_at_the_length_of_the_longest_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[tuple[Any, Any]] = []
    infer = openvino_models.infer

    def seen(request: Any, inputs: Any) -> Any:
        rows = infer(request, inputs)
        runs.append((inputs[0], rows.copy()))
        return rows

    args = ModelArgs(id=DEFAULT_TEXT_MODEL)
    service = load_text_model(args, threads=2, offline=True)
    right = {tuple(text.ids): service.run([text.ids])[0] for text in service.tokenize(TEXTS)}
    model = FastestModel(DEFAULT_TEXT_MODEL, "auto", 2)
    model.prepare([[text] for text in TEXTS[:2]])
    monkeypatch.setattr(openvino_models, "infer", seen)
    model.encode(TEXTS)
    for text in TEXTS[:2]:
        model.encode([text])
    found = [(tuple(ids[ids != 0]), vector) for batch, rows in runs for ids, vector in zip(batch, rows, strict=True)]
    assert sorted(ids for ids, _ in found) == sorted([*right, *(tuple(t.ids) for t in service.tokenize(TEXTS[:2]))])
    assert all((ids != 0).all(axis=1).any() for ids, _ in runs)
    assert [len(ids) for ids, _ in runs[-2:]] == [1, 1]
    for ids, vector in found:
        assert np.dot(vector, right[ids]) > 0.999
