"""Which backend runs a model, and what is said of it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.config.args import ModelArgs
from app.encoders.backends import registry
from app.encoders.backends.contract import Graph, Unconvertible
from app.errors import ModelUnavailable

OPTIONS = registry.options_for(ModelArgs(id="m", device="cpu"), 2, Path("cache"))


def write(folder: Path, shapes: Sequence[Sequence[int]], **config: Any) -> Graph:
    """A model's folder whose weights' header has tensors of these shapes, one a file, and no weights."""
    (folder / "config.json").write_text(json.dumps(config))
    for number, shape in enumerate(shapes):
        tensors: dict[str, Any] = {"t": {"dtype": "BF16", "shape": shape, "data_offsets": [0, 0]}}
        header = json.dumps(tensors | {"__metadata__": {"format": "pt"}}).encode()
        (folder / f"model-0000{number + 1}-of-0000{len(shapes)}.safetensors").write_bytes(
            len(header).to_bytes(8, "little") + header
        )
    return Graph(str(folder), str(folder), "0", "text", 8)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """(backend, precision) of each load; OpenVINO can do none."""
    calls: list[tuple[str, str]] = []

    def load(graph: Graph, options: Any, backend: str) -> Any:
        calls.append((backend, options.precision))
        if backend == "openvino":
            raise Unconvertible("It is wrong.")
        return SimpleNamespace(name=backend, note=None)

    monkeypatch.setattr(registry, "_load", load)
    return calls


def test_what_openvino_cannot_run_torch_does_where_the_backend_was_not_named(
    tmp_path: Path, loaded: list[tuple[str, str]]
) -> None:
    graph = write(tmp_path, [[8, 8]], num_key_value_heads=2)
    assert registry.load(graph, OPTIONS, "openvino").note == "It runs on torch: It is wrong."
    assert loaded == [("openvino", "auto"), ("torch", "auto")]
    named = registry.options_for(ModelArgs(id="m", device="cpu", backend="openvino"), 2, Path("cache"))
    with pytest.raises(ModelUnavailable, match=r"It is wrong\."):
        registry.load(graph, named, "openvino")
    assert loaded[2:] == [("openvino", "auto")]


@pytest.mark.parametrize(
    ("config", "rows", "precision", "expected"),
    [
        ({"num_key_value_heads": 8}, 599_000, "auto", [("torch", "bf16")]),
        ({"num_key_value_heads": 8}, 599_000, "f32", [("torch", "f32")]),
        ({"num_key_value_heads": 8}, 300_000, "auto", [("openvino", "auto"), ("torch", "auto")]),
        ({}, 599_000, "auto", [("openvino", "auto"), ("torch", "auto")]),
    ],
)
def test_large_decoders_are_torchs(
    config: dict[str, Any],
    rows: int,
    precision: str,
    expected: list[tuple[str, str]],
    tmp_path: Path,
    loaded: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.encoders.backends.openvino_models.precisions", lambda: ["f32", "bf16"])
    graph = write(tmp_path, [[rows, 1000], [8]], **config)
    runner = registry.load(graph, replace(OPTIONS, precision=precision), "openvino")
    assert loaded == expected
    if len(expected) == 1:
        assert runner.note == ("It runs on torch: decoders of this size (0.6B parameters) are faster there on a CPU")


def test_where_the_backend_is_named_size_does_not_matter(tmp_path: Path, loaded: list[tuple[str, str]]) -> None:
    graph = write(tmp_path, [[599_000, 1000], [8]], num_key_value_heads=8)
    with pytest.raises(ModelUnavailable):
        registry.load(graph, replace(OPTIONS, may_choose=False), "openvino")
    assert loaded == [("openvino", "auto")]
