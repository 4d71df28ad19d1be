"""Pixels as CLIP and its kin read them; numpy and Pillow only. Opening image files is not done here."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
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
SIGLIP = {"size": {"height": 224, "width": 224}, "do_center_crop": False}
HALF = {"image_mean": (0.5,) * 3, "image_std": (0.5,) * 3}
NAFLEX = {"patch_size": 16, "max_num_patches": 256, "resample": Image.Resampling.BILINEAR, **HALF}
KINDS = {"CLIP": CLIP, "ChineseCLIP": CLIP, "Siglip": SIGLIP | HALF, "Siglip2": NAFLEX}


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
        """Of a model's processor_config.json, or else preprocessor_config.json, which may name another `kind`; what
        they don't say is as there."""
        nested = (shared or {}).get("image_processor")
        said = (own or {}) if nested is None else nested
        named = said.get("image_processor_type") or said.get("feature_extractor_type") or kind
        defaults = KINDS.get(re.sub(r"(ImageProcessor|FeatureExtractor)(Fast|Pil)?$", "", str(named)))
        if defaults is None:
            raise ModelUnavailable(f"The model's pictures are prepared by a {named}, which this service does not have.")
        said = defaults | {key: value for key, value in said.items() if value is not None}
        # The arithmetic of transformers, step by step in its types, once for every value that a byte can have.
        scale = said.get("rescale_factor", 1 / 255) if said.get("do_rescale", True) else 1
        levels = np.stack([(np.arange(256).astype(np.float64) * scale).astype(np.float32)] * 3)
        if said.get("do_normalize", True):
            mean, std = (np.asarray(said[key], np.float32).reshape(-1, 1) for key in ("image_mean", "image_std"))
            levels = (levels - mean) / std
        if said.get("pad_size"):
            raise ModelUnavailable("The model's pictures are padded (pad_size), which this service does not do.")
        resample = int(said.get("resample", Image.Resampling.BICUBIC))
        if "max_num_patches" in defaults:
            return Patches.of(said, resample, levels)
        shortest, exact = _size(said["size"]) if said.get("do_resize", True) else (None, None)
        crop = None
        if said["do_center_crop"]:
            edge, crop = _size(said.get("crop_size", 224))
            crop = crop or (edge or 224, edge or 224)
        return cls(shortest, exact, crop, resample, levels)

    def fit(self, image: Image.Image) -> bytes:
        """An RGB image -> what the model sees of it, a byte for each number in `shape`: height × width × 3."""
        image = self._resize(image.convert("RGB"))
        if self.crop is not None:
            height, width = self.crop
            # What is around a small image is black; where that is odd, the greater part is at the top and left.
            left, top = (image.width - width) // 2, (image.height - height) // 2
            image = image.crop((left, top, left + width, top + height))
        return image.tobytes()

    def normalize(self, crop: bytes) -> Vector:
        """The bytes of `fit` -> float32 of `shape`."""
        pixels = np.frombuffer(crop, np.uint8).reshape(*self.output_size, 3)
        return np.stack([np.take(self.levels[channel], pixels[..., channel]) for channel in range(3)])

    def inputs(self, batch: Vector) -> tuple[NDArray[Any], ...]:
        """What the graph is given for images, stacked as `normalize` made them."""
        return (batch,)

    def samples(self, draw: Callable[[tuple[int, int]], list[bytes]]) -> list[bytes]:
        """Crops as `fit` makes them of the pictures that `draw` draws in a (height, width)."""
        return draw(self.output_size)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image, as `normalize` makes it."""
        return (3, *self.output_size)

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


@dataclass(frozen=True, slots=True)
class Patches(Preprocessing):
    """Images in their own proportions, as NaFlex reads them: at most `most` square patches of `patch` pixels a side,
    row by row. A crop has them one after the other, zeros behind them, and in its last line how many rows and columns
    there are, two bytes each."""

    patch: int
    most: int

    @classmethod
    def of(cls, said: dict[str, Any], resample: int, levels: Vector) -> "Patches":
        patch, most = int(said["patch_size"]), int(said["max_num_patches"])
        if min(patch - 1, most) < 1 or not said.get("do_resize", True):
            raise ModelUnavailable("The model's preprocessor_config.json leaves the number of its patches open.")
        return cls(None, None, None, resample, levels, patch, most)

    def fit(self, image: Image.Image) -> bytes:
        rows, columns = self._grid(image.width, image.height)
        size = (columns * self.patch, rows * self.patch)
        pixels = np.asarray(image.convert("RGB").resize(size, Image.Resampling(self.resample)))
        pixels = pixels.reshape(rows, self.patch, columns, self.patch, 3).swapaxes(1, 2)
        crop = np.zeros(self.shape, np.uint8)
        crop[: rows * columns] = pixels.reshape(rows * columns, -1)
        crop[-1, :4].view("<u2")[:] = rows, columns
        return crop.tobytes()

    def normalize(self, crop: bytes) -> Vector:
        cells = np.frombuffer(crop, np.uint8).reshape(self.shape)
        rows, columns = map(int, cells[-1, :4].view("<u2"))
        if not 0 < rows * columns <= self.most:
            raise ValueError(f"{rows} × {columns} patches of at most {self.most}")
        out = np.zeros(self.shape, np.float32)
        for channel, levels in enumerate(self.levels):
            out[: rows * columns, channel::3] = levels[cells[: rows * columns, channel::3]]
        out[-1, :2] = rows, columns
        return out

    def inputs(self, batch: Vector) -> tuple[NDArray[Any], ...]:
        """The patches, and how many rows and columns of them; one of each in a row that only fills the batch."""
        return np.ascontiguousarray(batch[:, :-1]), np.maximum(batch[:, -1, :2], 1).astype(np.int32)

    def samples(self, draw: Callable[[tuple[int, int]], list[bytes]]) -> list[bytes]:
        (wide, _), (_, tall) = draw((240, 400)), draw((400, 240))
        pictures = (("RGB", (400, 240), wide), ("RGB", (240, 400), tall))
        return [self.fit(Image.frombytes(*picture)) for picture in pictures]

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.most + 1, 3 * self.patch**2)

    @property
    def output_size(self) -> tuple[int, int]:
        """Of one patch."""
        return (self.patch, self.patch)

    def _grid(self, width: int, height: int) -> tuple[int, int]:
        """The rows and columns of patches: transformers' own search for the scale, in its arithmetic."""

        def at(scale: float) -> tuple[int, int]:
            rows, columns = (max(1, math.ceil(edge * scale / self.patch)) for edge in (height, width))
            return rows, columns

        low, high = 1e-5 / 10, 100.0
        while high - low >= 1e-5:
            middle = (low + high) / 2
            if math.prod(at(middle)) <= self.most:
                low = middle
            else:
                high = middle
        return at(low)


def _size(said: Any) -> tuple[int | None, tuple[int, int] | None]:
    """(shortest edge, exact size), one of them None."""
    if isinstance(said, int):
        return said, None
    if isinstance(said, list):
        return None, (int(said[0]), int(said[1]))
    if said.get("longest_edge"):
        raise ModelUnavailable("The model's pictures have a longest_edge, which this service does not follow.")
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
