"""The graph of one text alone: compiled for the lengths that are common, and the same function of every input."""

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest

from app.config.args import ModelArgs
from app.encoders.backends import openvino_models
from app.encoders.backends.openvino_lone import with_fixed_lengths
from app.encoders.shapes import ALONE
from app.encoders.text import load_text_model


def either(model: Any) -> tuple[Any, Any]:
    """The fixed branch and the other one."""
    (branch,) = (node for node in model.get_ops() if node.get_type_name() == "If")
    return branch.get_function(0), branch.get_function(1)


@pytest.fixture
def graph(minilm_weights: Path) -> Any:
    return ov.Core().read_model(minilm_weights.with_name(openvino_models.MODEL))


def test_a_branch_of_each_common_length_has_no_shape_to_work_out(graph: Any) -> None:
    rest = with_fixed_lengths(graph)
    for length in ALONE:
        fixed, rest = either(rest)
        computed = [node for node in fixed.get_ordered_ops() if node.get_type_name() != "Parameter"]
        assert all(output.get_partial_shape().is_static for node in computed for output in node.outputs())
        assert list(fixed.get_results()[0].get_output_shape(0)) == [1, 384]
        reshaped = [node for node in computed if node.get_output_partial_shape(0) == ov.PartialShape([1, length])]
        assert reshaped
    assert not [node for node in rest.get_ops() if node.get_type_name() == "If"]


@pytest.mark.parametrize("precision", openvino_models.precisions())
def test_every_shape_has_the_vectors_that_the_graph_of_any_shape_makes(graph: Any, precision: str) -> None:
    core, rng = ov.Core(), np.random.default_rng(24)
    whole, lone = (
        openvino_models.compiled(core, model, precision, 2, 1).create_infer_request()
        for model in (graph, with_fixed_lengths(graph))
    )
    for rows, length in [*((1, of) for of in ALONE), (1, 1), (1, 9), (1, 48), (2, 8), (3, 24), (4, 4), (24, 1)]:
        ids = rng.integers(1000, 20_000, (rows, length)).astype(np.int32)
        mask = (np.arange(length) < rng.integers(1, length + 1, (rows, 1))).astype(np.int32)
        right = openvino_models.infer(whole, [ids, mask]).copy()
        assert right.shape == (rows, 384)
        np.testing.assert_allclose(openvino_models.infer(lone, [ids, mask]), right, rtol=0, atol=1e-6)


def test_a_text_alone_goes_through_it_where_there_are_two_profiles(
    minilm_args: ModelArgs, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[int, bool]] = []
    compile_ = openvino_models.compiled

    def compiled(core: Any, model: Any, precision: str, threads: int, streams: int) -> Any:
        made.append((streams, any(node.get_type_name() == "If" for node in model.get_ops())))
        return compile_(core, model, precision, threads, streams)

    monkeypatch.setattr(openvino_models, "compiled", compiled)
    load_text_model(minilm_args, threads=2, offline=True, streams=2, latency_profile=True)
    load_text_model(minilm_args, threads=2, offline=True)
    assert made == [(2, False), (1, True), (1, False)]
