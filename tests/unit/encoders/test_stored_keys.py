"""Names of files that outlive a release: a change here would convert and record every model of every user anew."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from app.encoders.backends import openvino_models
from app.encoders.backends.contract import Graph
from app.encoders.files import sha256
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


def _made(monkeypatch: pytest.MonkeyPatch, proved: list[str]) -> list[Path]:
    """Conversions are made at once, and listed."""
    made: list[Path] = []

    def convert(graph: Graph, target: Path) -> None:
        made.append(target)
        target.write_text("<xml/>")
        (target.parent / openvino_models.PROOFS).write_text(json.dumps({key: {"wrong": None} for key in proved}))

    monkeypatch.setattr(openvino_models, "convert", convert)
    return made


def test_what_came_with_the_image_is_read_first_and_never_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, baked, cache = graph_of("text"), tmp_path / "baked", tmp_path / "cache"
    made = _made(monkeypatch, ["f32"])
    with openvino_models.converted(graph, baked, "f32") as folder:
        assert folder.parent == baked
    before = sorted((file, file.stat().st_mtime_ns) for file in baked.rglob("*"))
    monkeypatch.setenv("CONVERTED_MODELS", str(baked))
    with openvino_models.converted(graph, cache, "f32") as folder:
        assert folder == baked / openvino_models.key(graph)
    # Proved on a CPU without bf16: this one makes its own.
    made.clear()
    with openvino_models.converted(graph, cache, "bf16") as folder:
        assert (folder.parent, len(made)) == (cache, 1)
    assert sorted((file, file.stat().st_mtime_ns) for file in baked.rglob("*")) == before


@pytest.mark.parametrize("damage", ["missing", "other", "xml", "proofs", "no proofs", "sums", "no sums", "file"])
def test_a_wrong_or_missing_entry_of_the_image_is_made_in_the_cache(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, baked, cache = graph_of("text"), tmp_path / "baked", tmp_path / "cache"
    _made(monkeypatch, ["f32"])
    with openvino_models.converted(graph_of("clip_text") if damage == "other" else graph, baked, "f32") as folder:
        pass
    sums = folder / openvino_models.SUMS
    match damage:
        case "missing":
            shutil.rmtree(baked)
        case "xml":
            (folder / openvino_models.MODEL).write_text("<other/>")
        case "proofs":
            (folder / openvino_models.PROOFS).write_text("{}")
        case "no proofs":
            (folder / openvino_models.PROOFS).unlink()
            sums.write_text(json.dumps({openvino_models.MODEL: sha256(folder / openvino_models.MODEL)}))
        case "sums":
            sums.write_text("[]")
        case "no sums":
            sums.unlink()
        case "file":
            shutil.rmtree(baked)
            baked.write_text("")
    monkeypatch.setenv("CONVERTED_MODELS", str(baked))
    with openvino_models.converted(graph, cache, "f32") as found:
        assert found == cache / openvino_models.key(graph)
        assert openvino_models.proofs(found).keys() == {"f32"}


@pytest.mark.parametrize("value", [None, "", "  "])
def test_without_such_a_folder_nothing_changes(
    value: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _made(monkeypatch, ["f32"])
    monkeypatch.delenv("CONVERTED_MODELS", raising=False)
    if value is not None:
        monkeypatch.setenv("CONVERTED_MODELS", value)
    with openvino_models.converted(graph_of("text"), tmp_path, "f32") as folder:
        assert folder.parent == tmp_path
