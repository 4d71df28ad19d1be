"""The self-test of a loaded model: before it serves, its vectors of a few inputs are compared with known ones. Some are
shipped; all others are recorded when the model is first loaded on this machine, by backend and precision."""

import base64
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from app.encoders.weights import Weights
from app.errors import ModelUnavailable
from app.system.atomic_file import replacing
from app.types import ModelInfo, Vector

logger = logging.getLogger(__name__)

TEXTS = (
    "The quick brown fox jumps over the lazy dog.",
    "a photo of a small red circle",
    "Naïve Straße: 12.5 % of 3,000 € — 東京, 🚀",
    "Which of the two roads leads to the harbour, asked the traveller, and the old man pointed to neither of them.",
)
# Other precisions and batch shapes differ by much less.
LEAST_COSINE, LEAST_COSINE_IN_INT8, LENGTH_TOLERANCE = 0.999, 0.95, 0.02


@dataclass(frozen=True, slots=True)
class SelfTest:
    """(n, dimensions) rows each: of `TEXTS`, and of `images` where the model reads any."""

    texts: Vector
    images: Vector | None = None

    def to_json(self) -> dict[str, Any]:
        return {"texts": _written(self.texts), "images": None if self.images is None else _written(self.images)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "SelfTest":
        """Raises ValueError, KeyError or TypeError if it is none."""
        return cls(_read(data["texts"]), None if data["images"] is None else _read(data["images"]))


def images(size: tuple[int, int]) -> list[bytes]:
    """RGB bytes of crops of (height, width): a gradient, and a disc on a plain ground."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width]
    gradient = np.stack([255 * x // width, 255 * y // height, 255 * (x + y) // (width + height)], axis=-1)
    inside = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (min(size) / 4) ** 2
    disc = np.where(inside[..., None], (220, 30, 30), (240, 240, 240))
    return [picture.astype(np.uint8).tobytes() for picture in (gradient, disc)]


def check(made: SelfTest, weights: Weights, info: ModelInfo, folder: Path) -> None:
    """Compare a model's vectors with the shipped or recorded ones; if there are none, record these in `folder`. Raises
    ModelUnavailable if they differ."""
    for rows in (made.texts, made.images):
        if rows is not None and not (np.isfinite(rows).all() and np.linalg.norm(rows, axis=1).all()):
            raise ModelUnavailable(f"{weights.id} failed its self-test: it makes vectors that are zero or not finite.")
    file = folder / f"golden-{info.fingerprint}-{info.backend}-{info.precision}.json"
    wanted = shipped().get(name_of(weights, info.pooling, info.normalized)) or _recorded(file)
    if wanted is not None:
        _compare(made, wanted, weights.id, LEAST_COSINE_IN_INT8 if info.precision == "int8" else LEAST_COSINE)
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as scratch:
            scratch.write_text(json.dumps(made.to_json()), encoding="utf-8")
    except OSError as error:
        logger.warning("%s can't be written (%s); later loads are not compared with this one", file, error)


@cache
def shipped() -> dict[str, SelfTest]:
    """By `name_of`."""
    text = files("app").joinpath("assets", "golden.json").read_text(encoding="utf-8")
    return {model["name"]: SelfTest.from_json(model) for model in json.loads(text)}


def name_of(weights: Weights, pooling: Sequence[str], normalized: bool) -> str:
    """All that the vectors of short texts depend on: neither the precision nor the place of the files."""
    return "-".join([weights.sha256, *pooling, *(["normalized"] if normalized else [])])


def _compare(made: SelfTest, wanted: SelfTest, id_: str, least: float) -> None:
    for kind, rows, good in (("text", made.texts, wanted.texts), ("image", made.images, wanted.images)):
        if rows is None or good is None:
            continue
        if rows.shape != good.shape:
            raise ModelUnavailable(f"{id_} failed its self-test: {rows.shape} {kind} vectors instead of {good.shape}.")
        lengths, right = np.linalg.norm(rows, axis=1), np.linalg.norm(good, axis=1)
        cosine = float((np.vecdot(rows, good) / (lengths * right)).min())
        ratio = float(np.abs(lengths / right - 1).max())
        if cosine < least or ratio > LENGTH_TOLERANCE:
            raise ModelUnavailable(
                f"{id_} failed its self-test: its vectors of known {kind}s are not the expected ones (cosine "
                f"{cosine:.4f} instead of at least {least:g}; lengths off by {ratio:.1%})."
            )


def _recorded(file: Path) -> SelfTest | None:
    try:
        return SelfTest.from_json(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s can't be read (%s); it is recorded anew", file, error)
        return None


def _written(rows: Vector) -> dict[str, Any]:
    return {"shape": list(rows.shape), "float32": base64.b64encode(rows.astype("<f4").tobytes()).decode()}


def _read(data: dict[str, Any]) -> Vector:
    rows = np.frombuffer(base64.b64decode(data["float32"], validate=True), "<f4")
    return rows.reshape(data["shape"]).astype(np.float32)
