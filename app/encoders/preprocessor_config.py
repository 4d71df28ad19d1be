"""What a model's preprocessor_config.json says about how its images are resized, cropped and normalised."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from app.encoders.files import read_json
from app.images.preprocessing import Preprocessing

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def read_preprocessing(folder: Path) -> Preprocessing:
    """Read a model directory's preprocessing; what it does not say is as in CLIP."""
    said = read_json(folder / "preprocessor_config.json")
    if said is None:
        said = (read_json(folder / "processor_config.json") or {}).get("image_processor", {})
    shortest, size = _size(said.get("size", {"shortest_edge": 224})) if said.get("do_resize", True) else (None, None)
    crop = None
    if said.get("do_center_crop", True):
        edge, crop = _size(said.get("crop_size", 224))
        crop = crop or (edge or 224, edge or 224)
    # The arithmetic of transformers, step by step in its types, once for every value that a byte can have.
    scale = said.get("rescale_factor", 1 / 255) if said.get("do_rescale", True) else 1
    values = (np.arange(256).astype(np.float64) * scale).astype(np.float32)
    levels = np.stack([values] * 3)
    if said.get("do_normalize", True):
        mean = np.asarray(said.get("image_mean", MEAN), np.float32)[:, None]
        std = np.asarray(said.get("image_std", STD), np.float32)[:, None]
        levels = (levels - mean) / std
    return Preprocessing(shortest, size, crop, int(said.get("resample", Image.Resampling.BICUBIC)), levels)


def _size(said: Any) -> tuple[int | None, tuple[int, int] | None]:
    """(shortest edge, exact size), one of them None."""
    if isinstance(said, int):
        return said, None
    if "shortest_edge" in said:
        return int(said["shortest_edge"]), None
    return None, (int(said["height"]), int(said["width"]))
