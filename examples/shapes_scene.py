"""What a picture shows: one shape, its colour, size, position and background."""

from dataclasses import dataclass
from random import Random
from typing import Literal

Part = Literal["shape", "colour", "size", "position", "background"]
RGB = tuple[int, int, int]

PARTS: tuple[Part, ...] = ("shape", "colour", "size", "position", "background")

SHAPES = (
    "circle",
    "square",
    "triangle",
    "star",
    "heart",
    "cross",
    "diamond",
    "ring",
    "crescent",
    "rectangle",
)

# Several anchors a name, the web's own among them: a "green" drawn by a user may be any of these.
COLOURS: dict[str, tuple[RGB, ...]] = {
    "red": ((255, 0, 0), (220, 20, 60), (200, 25, 30), (239, 68, 68)),
    "orange": ((255, 165, 0), (255, 140, 0), (240, 130, 20)),
    "yellow": ((255, 255, 0), (255, 221, 40), (240, 230, 60)),
    "green": ((0, 128, 0), (0, 200, 0), (46, 160, 67), (0, 255, 0)),
    "blue": ((0, 0, 255), (30, 80, 220), (0, 60, 160), (37, 99, 235)),
    "purple": ((128, 0, 128), (110, 40, 170), (148, 40, 200)),
    "pink": ((255, 192, 203), (255, 105, 180), (250, 150, 190)),
    "brown": ((139, 69, 19), (120, 72, 40), (101, 60, 30), (150, 75, 0)),
    "black": ((0, 0, 0), (25, 25, 25)),
    "white": ((255, 255, 255), (240, 240, 240)),
}

BACKGROUNDS: dict[str, tuple[RGB, ...]] = {
    "white": ((255, 255, 255), (248, 248, 248)),
    "black": ((0, 0, 0), (20, 20, 20)),
    "grey": ((128, 128, 128), (150, 150, 150), (110, 110, 110)),
    "beige": ((245, 222, 179), (235, 215, 170)),
    "light blue": ((173, 216, 230), (150, 200, 240)),
}

# Radius in fractions of the shorter side. Nobody calls the middle one anything, so no caption names it.
SIZES: dict[str, tuple[float, float]] = {
    "small": (0.12, 0.16),
    "medium": (0.19, 0.24),
    "large": (0.28, 0.34),
}

POSITIONS: dict[str, tuple[float, float]] = {
    "top left": (0.25, 0.25),
    "top": (0.5, 0.25),
    "top right": (0.75, 0.25),
    "left": (0.25, 0.5),
    "centre": (0.5, 0.5),
    "right": (0.75, 0.5),
    "bottom left": (0.25, 0.75),
    "bottom": (0.5, 0.75),
    "bottom right": (0.75, 0.75),
}

# (shape, colour): never drawn in training, though each shape and each colour is.
UNSEEN_PAIRS = frozenset(
    {
        ("circle", "orange"),
        ("square", "purple"),
        ("triangle", "pink"),
        ("star", "green"),
        ("heart", "blue"),
        ("cross", "yellow"),
        ("diamond", "red"),
        ("ring", "brown"),
        ("crescent", "white"),
        ("rectangle", "black"),
        ("heart", "green"),
        ("star", "purple"),
    }
)

# (colour, background) that cannot be told apart well enough to draw.
_INVISIBLE = frozenset({("white", "white"), ("black", "black"), ("pink", "beige"), ("white", "beige")})


@dataclass(frozen=True, slots=True)
class Scene:
    shape: str
    colour: str
    size: str = "medium"
    position: str = "centre"
    background: str = "white"

    @property
    def unseen(self) -> bool:
        return (self.shape, self.colour) in UNSEEN_PAIRS

    def fits(self, other: "Scene", parts: tuple[Part, ...]) -> bool:
        """Whether a caption of `other` that names these parts is true of this scene too."""
        return all(getattr(self, part) == getattr(other, part) for part in parts)


def random_scene(rng: Random, unseen: bool | None = None) -> Scene:
    """`unseen`: only never-trained pairs (True), only trained ones (False), or any (None)."""
    while True:
        scene = Scene(
            shape=rng.choice(SHAPES),
            colour=rng.choice(list(COLOURS)),
            size=rng.choice(list(SIZES)),
            position=rng.choice(list(POSITIONS)),
            background=rng.choice(list(BACKGROUNDS)),
        )
        if unseen in (None, scene.unseen) and (scene.colour, scene.background) not in _INVISIBLE:
            return scene
