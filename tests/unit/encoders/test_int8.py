"""int8: when it is accepted, and what is said where it can't be had."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from app.config.args import ModelArgs
from app.encoders.backends import int8, openvino_models, openvino_runner, registry
from app.encoders.backends.contract import Graph, RunOptions
from app.errors import ModelUnavailable

RIGHT = np.random.default_rng(1).standard_normal((60, 16), np.float32)
OPTIONS = registry.options_for(ModelArgs(id="m", device="cpu", precision="int8"), 2, Path("cache"))


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    return Graph(str(tmp_path), str(tmp_path), "0", "text", 8, calibrated=str(tmp_path / "tokenizer.json"))


@pytest.mark.parametrize(("noise", "good"), [(0.0, True), (0.03, True), (0.11, False), (0.5, False)])
def test_figures_are_of_directions_and_of_the_order_of_all_pairs(noise: float, good: bool) -> None:
    made = 3 * (RIGHT + noise * np.random.default_rng(2).standard_normal(RIGHT.shape, np.float32))
    found = int8.compare(made, RIGHT)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (made, RIGHT)]
    pairs = np.triu_indices(60, 1)
    assert found["cosine"] == pytest.approx((unit[0] * unit[1]).sum(axis=1).mean(), abs=1e-6)
    assert found["spearman"] == pytest.approx(spearmanr(*((rows @ rows.T)[pairs] for rows in unit))[0], abs=1e-6)
    assert (found["wrong"] is None) is good


@pytest.mark.parametrize("noise", [0.11, np.nan])
def test_either_figure_alone_refuses_and_both_are_named(noise: float) -> None:
    made = RIGHT + noise * np.random.default_rng(2).standard_normal(RIGHT.shape, np.float32)
    found = int8.compare(made, RIGHT)
    assert not (found["cosine"] < 0.99)
    assert not (found["spearman"] >= 0.995)
    assert found["wrong"] == (
        f"mean cosine {found['cosine']:.4f}, at least 0.99 is asked; "
        f"Spearman's correlation of pair scores {found['spearman']:.4f}, at least 0.995 is asked"
    )


def test_texts_that_judge_are_not_those_that_calibrate() -> None:
    texts = [int8.ASSETS.joinpath(f"{name}.txt").read_text().splitlines() for name in ("calibration", "held_out")]
    assert all(len(one) > 100 and len(set(one)) == len(one) and all(one) for one in texts)
    assert not set(texts[0]) & set(texts[1])
    assert all(sum(not text.isascii() for text in one) > 20 for one in texts)


@pytest.mark.parametrize(
    ("backend", "change"),
    [("torch", {}), ("static", {"calibrated": ""}), ("openvino", {"encoder": "clip_image", "calibrated": ""})],
)
def test_what_has_no_int8_says_so(graph: Graph, backend: str, change: dict[str, Any]) -> None:
    with pytest.raises(ModelUnavailable, match="int8 is for text models with a transformer, on OpenVINO and a CPU"):
        registry.load(replace(graph, **change), OPTIONS, backend)


def test_without_nncf_its_extra_is_named(graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_models, "find_spec", lambda name: None)
    with pytest.raises(ModelUnavailable, match=r"needs nncf to convert a model: pip install '\.\[int8\]'\.$"):
        registry.load(graph, replace(OPTIONS, cache=tmp_path), "openvino")


def test_a_conversion_in_int8_has_a_folder_of_its_own(graph: Graph, tmp_path: Path) -> None:
    before = openvino_models.key(graph)
    assert before != openvino_models.key(replace(graph, calibrated=""))
    (tmp_path / "tokenizer.json").write_text("{ }")
    assert before != openvino_models.key(graph)


def test_a_model_that_is_not_good_enough_is_refused_with_both_figures(
    graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = "mean cosine 0.9876, at least 0.99 is asked"

    def convert(graph: Graph, target: Path) -> None:
        (target.parent / openvino_models.PROOFS).write_text(json.dumps({"int8": {"wrong": wrong}}))

    monkeypatch.setattr(openvino_models, "convert", convert)
    monkeypatch.setattr(openvino_models, "find_spec", lambda name: object())
    for _ in range(2):  # the second finds what the first kept
        with pytest.raises(
            ModelUnavailable, match=rf"^This model is not right in int8 \({wrong}\); use precision: auto"
        ):
            registry.load(graph, replace(OPTIONS, cache=tmp_path / "cache"), "openvino")


@pytest.mark.parametrize(
    ("able", "precision", "wanted", "offered"),
    [
        (["f32"], "auto", "f32", True),
        (["f32"], "f32", "f32", False),
        (["f32", "bf16"], "auto", "bf16", False),
        (["f32", "bf16"], "f32", "f32", False),
        (["f32", "f16"], "auto", "f32", False),
    ],
)
def test_bf16_is_chosen_where_the_cpu_has_it_and_else_int8_is_offered(
    able: list[str],
    precision: str,
    wanted: str,
    offered: bool,
    graph: Graph,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    @contextmanager
    def converted(graph: Graph, cache: Path, precision: str) -> Iterator[Path]:
        raise ModelUnavailable(f"{precision} is wanted.")
        yield cache

    monkeypatch.setattr(openvino_models, "precisions", lambda: list(able))
    monkeypatch.setattr(openvino_models, "converted", converted)
    caplog.set_level(logging.INFO)
    with pytest.raises(ModelUnavailable, match=f"^{wanted} is wanted"):
        openvino_runner.load(replace(graph, calibrated=""), RunOptions(2, precision, "cpu", Path("cache")))
    assert ("precision: int8 is faster" in caplog.text) is offered
