"""Names of files that outlive a release: a change here would convert and record every model of every user anew."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from app.encoders.backends import openvino_models
from app.encoders.backends.contract import Graph
from app.encoders.steps import Step
from app.encoders.text import fingerprint
from app.encoders.weights import resolve

ASSETS = Path(__file__).parents[3] / "app" / "assets"


def graph_of(encoder: str) -> Graph:
    folder = str(ASSETS / "shapes-clip")
    weights = resolve("shapes-clip", offline=True).sha256
    if encoder == "text":
        steps = (Step("Dense", "2_Dense", features=(64, 32)), Step("Normalize"))
        return Graph(folder, folder, weights, "text", 32, ("cls", "mean"), steps)
    size = (64, 64) if encoder == "clip_image" else (0, 0)
    return Graph(folder, folder, weights, encoder, 64, image_size=size)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("encoder", "name"),
    [
        ("text", "text-7663216ae633f89d618f0da8"),
        ("clip_text", "clip_text-157602e3540d014ca098b42a"),
        ("clip_image", "clip_image-68cdc0e14d3aaa45a87cc25f"),
    ],
)
def test_a_known_model_keeps_the_folder_of_its_conversion(
    encoder: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openvino.__version__", "2026.1.0")
    assert openvino_models.key(graph_of(encoder)) == name


def test_a_known_model_keeps_its_fingerprint() -> None:
    weights = resolve("shapes-clip", offline=True)
    steps = asdict(graph_of("text"))["steps"]
    files = [weights.directory / "config.json", weights.directory / "tokenizer.json"]
    assert (
        fingerprint(weights, "f32", files, [("cls", "mean"), *steps], [77, True, ""])
        == "ed5307d7ad6b643b55e2d919e42ac228"
    )


def test_a_graph_survives_the_way_to_the_child_that_converts_it() -> None:
    for graph in map(graph_of, ("text", "clip_text", "clip_image")):
        assert TypeAdapter(Graph).validate_json(json.dumps(asdict(graph))) == graph


def test_a_conversion_that_another_cpu_proved_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def convert(graph: Graph, target: Path) -> None:
        target.write_text("<xml/>")
        (target.parent / openvino_models.PROOFS).write_text(json.dumps({key: {"wrong": None} for key in proved}))

    monkeypatch.setattr(openvino_models, "convert", convert)
    graph, proved = graph_of("text"), ["f32"]
    with openvino_models.converted(graph, tmp_path, "f32") as folder:
        assert openvino_models.proofs(folder).keys() == {"f32"}
    proved = ["f32", "bf16"]
    with openvino_models.converted(graph, tmp_path, "bf16") as folder:
        assert openvino_models.proofs(folder).keys() == {"f32", "bf16"}
    # Another replica that began with it and failed, for want of memory perhaps, does not take it away.
    proved = ["refused"]
    openvino_models.make(graph, folder)
    assert openvino_models.proofs(folder).keys() == {"f32", "bf16"}
