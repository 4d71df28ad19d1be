"""The shipped shapes-clip, as transformers runs it, and the script that makes it."""

import json
import subprocess
import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest

from examples.shapes import UNSEEN_PAIRS, Scene, draw, held_out, random_scene
from examples.shapes_reference import Reference
from tests.cluster.running import ROOT

FOLDER = ROOT / "app" / "assets" / "shapes-clip"


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference(FOLDER)


def test_words_and_pictures_find_each_other(reference: Reference) -> None:
    figures = reference.figures(sets=4)
    assert min(figures["held-out pictures"]) >= 0.9
    assert min(figures["held-out pictures of never-trained pairs"]) >= 0.7


def test_any_unicode_is_a_text(reference: Reference) -> None:
    rows = reference.encode_texts(["red circle", "RED  CIRCLE", "円 🙂 \x00 ünïcödé", "word " * 500])
    assert np.isfinite(rows).all()
    assert np.allclose(rows[0], rows[1], atol=1e-5)


def test_weights_fit_the_package() -> None:
    assert (FOLDER / "model.safetensors").stat().st_size <= 3 * 2**20
    assert json.loads((FOLDER / "config.json").read_text())["model_type"] == "clip"


def test_drawing_is_seeded() -> None:
    a, b = (held_out(5, 4) for _ in range(2))
    assert [(image.tobytes(), text) for image, text, _ in a] == [(image.tobytes(), text) for image, text, _ in b]
    assert held_out(6, 4)[0][0].tobytes() != a[0][0].tobytes()


def test_training_never_draws_the_unseen_pairs() -> None:
    rng = Random(0)
    seen = {(scene.shape, scene.colour) for scene in (random_scene(rng, unseen=False) for _ in range(5000))}
    assert seen.isdisjoint(UNSEEN_PAIRS)
    assert len(seen) == 64 - len(UNSEEN_PAIRS)


def test_a_plain_drawing_has_its_colours() -> None:
    image = draw(Scene("square", "blue", background="white"))
    assert image.getpixel((80, 80)) == (0, 0, 255)
    assert image.getpixel((2, 2)) == (255, 255, 255)


def test_training_runs_end_to_end(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "examples.train_shapes_clip",
        "--steps",
        "3",
        "--sets",
        "1",
        "--out",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "step 3/3" in done.stdout
    assert Reference(tmp_path).encode_texts(["red circle"]).shape == (1, 64)
    assert "Recall@1" in (tmp_path / "README.md").read_text()
