"""Drawn pictures of one shape each, with captions: what shapes-clip learns from and is measured on.

draw(Scene("star", "blue", size="large")).save("star.png")
for image, text, unseen in held_out(seed=1, n=32): ...
"""

import io
import math
from collections.abc import Callable
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from examples.shapes_captions import caption, random_parts, with_noise
from examples.shapes_scene import (
    BACKGROUNDS,
    COLOURS,
    PARTS,
    POSITIONS,
    RGB,
    SHAPES,
    SIZES,
    UNSEEN_PAIRS,
    Part,
    Scene,
    random_scene,
)

__all__ = [
    "BACKGROUNDS",
    "COLOURS",
    "PARTS",
    "POSITIONS",
    "SHAPES",
    "SIZES",
    "UNSEEN_PAIRS",
    "Part",
    "Scene",
    "caption",
    "draw",
    "fitted",
    "held_out",
    "random_parts",
    "random_scene",
    "with_noise",
]

Point = tuple[float, float]
Vary = Callable[[float, float], float]


def draw(scene: Scene, rng: Random | None = None, canvas: tuple[int, int] | None = None) -> Image.Image:
    """An RGB picture. Without `rng` a plain, exact one; with it, one as different each time as people's are:
    canvas size, place, tilt and colour jitter, lighting, noise, blur and JPEG traces.
    """
    vary: Vary = rng.uniform if rng else lambda low, high: (low + high) / 2
    width, height = canvas or (_random_canvas(rng) if rng else (160, 160))
    side = min(width, height)
    radius = vary(*SIZES[scene.size])
    # The model reads the middle square of a picture, so that is where positions are counted.
    x, y = (_inside(at + vary(-0.03, 0.03), radius) for at in POSITIONS[scene.position])
    centre = ((width - side) / 2 + x * side, (height - side) / 2 + y * side)

    mask = Image.new("L", (width, height))
    _draw_shape(mask, scene.shape, centre, radius * side, vary)
    # Soft edges, as a canvas or a camera makes them, or hard ones, as a script does.
    if rng and rng.random() < 0.6:
        mask = mask.filter(ImageFilter.GaussianBlur(side / 400 + rng.uniform(0, 0.5)))
    image = Image.new("RGB", (width, height), _shade(BACKGROUNDS[scene.background], rng))
    image.paste(_shade(COLOURS[scene.colour], rng), mask=mask)
    return _photographed(image, rng) if rng and rng.random() < 0.4 else image


def held_out(
    seed: int, n: int, *, unseen: bool | None = None, parts: tuple[Part, ...] = PARTS
) -> list[tuple[Image.Image, str, bool]]:
    """`n` pictures that training never drew, each with a caption that is true of no other one of them.

    The flag says whether its shape-colour pair is one that training never showed; `unseen` asks for only
    such (True) or none such (False); captions name `parts`.
    """
    rng = Random(f"held-out {seed}")
    scenes: list[Scene] = []
    for _ in range(1000 * n):
        if len(scenes) == n:
            break
        scene = random_scene(rng, unseen)
        if not any(_confusable(scene, other, parts) for other in scenes):
            scenes.append(scene)
    if len(scenes) < n:
        raise ValueError(f"there are no {n} scenes that captions naming only {', '.join(parts)} tell apart")
    return [(draw(scene, rng), caption(scene, rng, parts), scene.unseen) for scene in scenes]


def fitted(image: Image.Image, side: int) -> Image.Image:
    """Resize and centre crop, pixel for pixel as CLIPImageProcessor does them."""
    width, height = image.size
    short = min(width, height)
    width, height = int(side * width / short), int(side * height / short)
    resized = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - side) // 2, (height - side) // 2
    return resized.crop((left, top, left + side, top + side))


def _confusable(one: Scene, other: Scene, parts: tuple[Part, ...]) -> bool:
    # A medium size goes unnamed, so its caption is true of the small and the large scene as well.
    if "medium" in (one.size, other.size):
        parts = tuple(part for part in parts if part != "size")
    return one.fits(other, parts)


def _random_canvas(rng: Random) -> tuple[int, int]:
    side = round(64 * 5 ** rng.random())
    other = round(side * (1 if rng.random() < 0.4 else rng.uniform(1, 1.8)))
    return (side, other) if rng.random() < 0.5 else (other, side)


def _inside(at: float, radius: float) -> float:
    return min(max(at, 0.9 * radius), 1 - 0.9 * radius)


def _shade(anchors: tuple[RGB, ...], rng: Random | None) -> RGB:
    if rng is None:
        return anchors[0]
    r, g, b = (min(max(value + rng.randint(-10, 10), 0), 255) for value in rng.choice(anchors))
    return r, g, b


def _draw_shape(mask: Image.Image, shape: str, centre: Point, radius: float, vary: Vary) -> None:
    pen = ImageDraw.Draw(mask)
    angle = math.radians(vary(-8, 8))
    if shape in ("circle", "ring"):
        pen.ellipse(_box(centre, radius), fill=255)
        if shape == "ring":
            pen.ellipse(_box(centre, radius * vary(0.5, 0.65)), fill=0)
        return
    cos, sin = math.cos(angle), math.sin(angle)
    pen.polygon(
        [
            (centre[0] + radius * (x * cos - y * sin), centre[1] + radius * (x * sin + y * cos))
            for x, y in _outline(shape, vary)
        ],
        fill=255,
    )


def _outline(shape: str, vary: Vary) -> list[Point]:
    """Corners in a circle of radius one, y downwards."""
    if shape == "square":
        return [(-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)]
    if shape == "triangle":
        return [(0, -1), (0.95, 0.75), (-0.95, 0.75)]
    if shape == "diamond":
        half = vary(0.6, 0.8)
        return [(0, -1), (half, 0), (0, 1), (-half, 0)]
    if shape == "cross":
        arm = vary(0.22, 0.36)
        quarter = [(arm, -1.0), (arm, -arm), (1.0, -arm)]
        return [_quarter_turned(corner, turn) for turn in range(4) for corner in quarter]
    if shape == "star":
        inner = vary(0.38, 0.48)
        spokes = [(1.0 if i % 2 == 0 else inner, math.pi * i / 5) for i in range(10)]
        return [(length * math.sin(turn), -length * math.cos(turn)) for length, turn in spokes]
    turns = [2 * math.pi * i / 40 for i in range(40)]
    return [(math.sin(t) ** 3, _heart_height(t)) for t in turns]


def _heart_height(t: float) -> float:
    curve = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
    return -curve / 16 - 0.1


def _quarter_turned(point: Point, turns: int) -> Point:
    x, y = point
    for _ in range(turns):
        x, y = -y, x
    return x, y


def _box(centre: Point, radius: float) -> tuple[float, float, float, float]:
    return centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius


def _photographed(image: Image.Image, rng: Random) -> Image.Image:
    """Uneven light, sensor noise, some blur, and half the time JPEG."""
    width, height = image.size
    direction = rng.uniform(0, 2 * math.pi)
    across = np.linspace(-0.5, 0.5, width, dtype=np.float32) * math.cos(direction)
    down = np.linspace(-0.5, 0.5, height, dtype=np.float32) * math.sin(direction)
    light = 1 + rng.uniform(0, 0.15) * (across[None, :] + down[:, None])
    noise = np.random.default_rng(rng.getrandbits(32)).standard_normal((height, width), dtype=np.float32)
    pixels = np.asarray(image, dtype=np.float32) * light[..., None]
    pixels += rng.choice((0.0, 3.0, 6.0)) * noise[..., None]
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, min(image.size) / 100)))
    if rng.random() < 0.6:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=rng.randint(35, 92))
        image = Image.open(file).convert("RGB")
    return image
