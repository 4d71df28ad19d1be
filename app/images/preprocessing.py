"""Pixels as CLIP and its kin read them; numpy and Pillow only. Opening image files is not done here."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from app.errors import ModelUnavailable
from app.types import Vector

# Beyond this many times the crop, only the part that the crop keeps is scaled: a picture of 1 × 1,000,000
# pixels must not become one of 224 × 224,000,000 on the way.
MOST_EXCESS = 8
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
# What each kind of transformers' image processors does where its file is silent.
CLIP = {"size": {"shortest_edge": 224}, "do_center_crop": True, "image_mean": MEAN, "image_std": STD}
SIGLIP = {"size": {"height": 224, "width": 224}, "do_center_crop": False, "image_mean": (0.5,) * 3}
KINDS = {"CLIP": CLIP, "ChineseCLIP": CLIP, "Siglip": SIGLIP | {"image_std": (0.5,) * 3}}


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Sizes are (height, width); `shortest` scales the shorter edge and keeps the proportions."""

    shortest: int | None
    size: tuple[int, int] | None
    crop: tuple[int, int] | None
    resample: int
    levels: Vector
    """What each of the 256 values becomes, per channel: (3, 256)."""

    @classmethod
    def read(
        cls, own: dict[str, Any] | None, shared: dict[str, Any] | None = None, kind: str = "CLIP"
    ) -> "Preprocessing":
        """Of a model's preprocessor_config.json, or else processor_config.json, which may name another `kind`; what
        they don't say is as there."""
        said = (shared or {}).get("image_processor", {}) if own is None else own
        named = said.get("image_processor_type") or said.get("feature_extractor_type") or kind
        defaults = KINDS.get(re.sub(r"(ImageProcessor|FeatureExtractor)(Fast|Pil)?$", "", str(named)))
        if defaults is None:
            raise ModelUnavailable(f"The model's pictures are prepared by a {named}, which this service does not have.")
        said = defaults | {key: value for key, value in said.items() if value is not None}
        shortest, exact = _size(said["size"]) if said.get("do_resize", True) else (None, None)
        crop = None
        if said["do_center_crop"]:
            edge, crop = _size(said.get("crop_size", 224))
            crop = crop or (edge or 224, edge or 224)
        # The arithmetic of transformers, step by step in its types, once for every value that a byte can have.
        scale = said.get("rescale_factor", 1 / 255) if said.get("do_rescale", True) else 1
        levels = np.stack([(np.arange(256).astype(np.float64) * scale).astype(np.float32)] * 3)
        if said.get("do_normalize", True):
            mean = np.asarray(said["image_mean"], np.float32)[:, None]
            std = np.asarray(said["image_std"], np.float32)[:, None]
            levels = (levels - mean) / std
        return cls(shortest, exact, crop, int(said.get("resample", Image.Resampling.BICUBIC)), levels)

    def fit(self, image: Image.Image) -> bytes:
        """An RGB image -> the RGB bytes of what the model sees of it: height × width × 3."""
        image = self._resize(image.convert("RGB"))
        if self.crop is not None:
            height, width = self.crop
            # What is around a small image is black; where that is odd, the greater part is at the top and left.
            left, top = (image.width - width) // 2, (image.height - height) // 2
            image = image.crop((left, top, left + width, top + height))
        return image.tobytes()

    def normalize(self, crop: bytes) -> Vector:
        """The bytes of `fit` -> (3, height, width) float32."""
        pixels = np.frombuffer(crop, np.uint8).reshape(*self.output_size, 3)
        return np.stack([np.take(self.levels[channel], pixels[..., channel]) for channel in range(3)])

    @property
    def output_size(self) -> tuple[int, int]:
        """Height and width of what the model reads."""
        if self.crop or self.size:
            return self.crop or self.size or (0, 0)
        raise ModelUnavailable("The model's preprocessor_config.json leaves the size of its images open.")

    def _resize(self, image: Image.Image) -> Image.Image:
        resample = Image.Resampling(self.resample)
        if self.size is not None:
            return image.resize((self.size[1], self.size[0]), resample)
        if self.shortest is None:
            return image
        short = min(image.size)
        width, height = (self.shortest if edge == short else int(self.shortest * edge / short) for edge in image.size)
        if self.crop and max(width, height) > MOST_EXCESS * max(self.crop):
            return _resize_kept(image, (width, height), self.crop, resample)
        return image.resize((width, height), resample)


def _size(said: Any) -> tuple[int | None, tuple[int, int] | None]:
    """(shortest edge, exact size), one of them None."""
    if isinstance(said, int):
        return said, None
    if "shortest_edge" in said:
        return int(said["shortest_edge"]), None
    return None, (int(said["height"]), int(said["width"]))


def _resize_kept(
    image: Image.Image, size: tuple[int, int], crop: tuple[int, int], resample: Image.Resampling
) -> Image.Image:
    """The middle of the image scaled to `size` (width, height), within one level of scaling it all."""
    (width, height), (kept_h, kept_w) = size, crop
    if width > height:
        left, right, box = _needed(image.width, width, kept_w)
        image = image.crop((left, 0, right, image.height))
        return image.resize((kept_w, height), resample, box=(box[0], 0, box[1], image.height))
    top, bottom, box = _needed(image.height, height, kept_h)
    # Across first: Pillow scales a tall image in this order, and another would round otherwise in between.
    image = image.crop((0, top, image.width, bottom)).resize((width, bottom - top), resample)
    return image.resize((width, kept_h), resample, box=(0, box[0], width, box[1]))


def _needed(edge: int, scaled: int, kept: int) -> tuple[int, int, tuple[float, float]]:
    """The pixels of an edge that the middle `kept` of its `scaled` ones are made of, and the middle among them."""
    scale = edge / scaled
    start = (scaled - kept) // 2 * scale
    reach = 4 * max(scale, 1.0) + 1
    first, last = max(0, int(start - reach)), min(edge, int(start + kept * scale + reach) + 1)
    return first, last, (start - first, start + kept * scale - first)
