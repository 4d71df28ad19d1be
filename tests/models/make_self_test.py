"""Makes `app/assets/golden.json` with the reference libraries: `python -m tests.models.make_self_test`."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from sentence_transformers import SentenceTransformer

from app.config.args import DEFAULT_TEXT_MODEL, SHAPES_CLIP
from app.encoders import self_test
from app.encoders.files import read_json
from app.encoders.self_test import SelfTest
from app.encoders.weights import resolve
from app.images.preprocessing import Preprocessing
from examples.shapes_reference import Reference

FILE = Path(self_test.__file__).parents[1] / "assets" / "golden.json"


def minilm() -> SelfTest:
    model = SentenceTransformer(str(resolve(DEFAULT_TEXT_MODEL, offline=True).directory), device="cpu")
    return SelfTest(np.asarray(model.encode(list(self_test.TEXTS)), np.float32))


def shapes_clip() -> SelfTest:
    folder = resolve(SHAPES_CLIP, offline=True).directory
    height, width = Preprocessing.read(read_json(folder / "preprocessor_config.json")).output_size
    reference = Reference(folder)
    pictures = [Image.frombytes("RGB", (width, height), crop) for crop in self_test.images((height, width))]
    return SelfTest(reference.encode_texts(self_test.TEXTS), reference.encode_images(pictures))


def made() -> list[dict[str, Any]]:
    text, clip = resolve(DEFAULT_TEXT_MODEL, offline=True), resolve(SHAPES_CLIP, offline=True)
    with torch.no_grad():
        return [
            {"model": text.id, "name": self_test.name_of(text, ["mean"], True), **minilm().to_json()},
            {"model": clip.id, "name": self_test.name_of(clip, ["lasttoken"], False), **shapes_clip().to_json()},
        ]


if __name__ == "__main__":
    FILE.write_text(json.dumps(made(), indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{FILE}: {FILE.stat().st_size} bytes\n")
