"""A service with one good model and six directories that are each wrong in another way."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from loadtests.running import running, write_config
from tests.support.tiny import write_mpnet

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def _half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _set(file: Path, **fields: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def _remote(directory: Path) -> None:
    listed = [{"idx": 0, "name": "0", "path": "", "type": "custom_st.Transformer"}]
    (directory / "modules.json").write_text(json.dumps(listed))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "pointer": (
        lambda place: (place / "model.safetensors").write_bytes(POINTER),
        "model.safetensors is a Git LFS pointer, not the file; run git lfs pull",
    ),
    "torn": (lambda place: _half(place / "model.safetensors"), "model.safetensors can't be read"),
    "unreadable": (lambda place: _half(place / "config.json"), "config.json can't be read"),
    "code": (
        _remote,
        "needs code of its own (custom_st.Transformer; trust_remote_code), which this service never runs",
    ),
    "scores": (
        lambda place: _set(place / "config_sentence_transformers.json", model_type="CrossEncoder"),
        "is a cross-encoder or classifier: it scores texts and makes no vectors of them",
    ),
    "unweighted": (lambda place: (place / "model.safetensors").unlink(), "has no model.safetensors"),
}


def test_the_good_model_serves_and_each_fault_is_named(tmp_path: Path) -> None:
    good = write_mpnet(tmp_path / "good")
    for name, (damage, _) in FAULTS.items():
        damage(Path(shutil.copytree(good, tmp_path / name)))
    models = [{"id": str(tmp_path / name), "num_cpus": 0.1} for name in ("good", *FAULTS)]
    config = write_config(tmp_path, text_models=models, image_models=[], ingress={"num_cpus": 0.1})
    with running(config, (sys.executable, "-m", "app", "--config", str(config))) as service:
        with httpx.Client(base_url=service.url, timeout=60) as client:
            health = {model["id"]: model for model in client.get("/health").json()["details"]}
            assert {name: model["status"] for name, model in health.items()} == {
                "good": "ready",
                **dict.fromkeys(FAULTS, "unavailable"),
            }
            found = client.post("/embed/text", json={"texts": ["a dog"], "model": "good"})
            assert (found.status_code, len(found.json()["embeddings"][0])) == (200, 48)
            for name, (_, reason) in FAULTS.items():
                assert reason in health[name]["reason"]
                refused = client.post("/embed/text", json={"texts": ["a dog"], "model": name})
                assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_unavailable")
                assert reason in refused.json()["error"]["message"]
        for name, (_, reason) in FAULTS.items():
            assert any(f"{name} is NOT AVAILABLE" in line and reason in line for line in service.lines)
