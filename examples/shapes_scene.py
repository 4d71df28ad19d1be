"""What a picture shows: one shape, its colour, size, position and background."""

from dataclasses import dataclass
from random import Random
from typing import Literal

Part = Literal["shape", "colour", "size", "position", "background"]
RGB = tuple[int, int, int]

PARTS: tuple[Part, ...] = ("shape", "colour", "size", "position", "background")

SHAPES = ("circle", "square", "triangle", "star", "heart", "cross", "diamond", "ring")

# The web's own colours first; a "green" drawn by a user may be any of these.
COLOURS: dict[str, tuple[RGB, ...]] = {
    "red": ((255, 0, 0), (215, 25, 35)),
    "orange": ((255, 165, 0), (255, 140, 0)),
    "yellow": ((255, 255, 0), (255, 225, 40)),
    "green": ((0, 128, 0), (0, 200, 0)),
    "blue": ((0, 0, 255), (30, 80, 220)),
    "purple": ((128, 0, 128), (120, 40, 180)),
    "pink": ((255, 192, 203), (255, 120, 185)),
    "brown": ((139, 69, 19), (115, 70, 35)),
}

BACKGROUNDS: dict[str, tuple[RGB, ...]] = {
    "white": ((255, 255, 255),),
    "grey": ((128, 128, 128),),
    "black": ((0, 0, 0),),
}

# Radius in fractions of the shorter side.
SIZES: dict[str, tuple[float, float]] = {"small": (0.13, 0.17), "large": (0.27, 0.33)}

POSITIONS: dict[str, tuple[float, float]] = {
    "top left": (0.27, 0.27),
    "top right": (0.73, 0.27),
    "centre": (0.5, 0.5),
    "bottom left": (0.27, 0.73),
    "bottom right": (0.73, 0.73),
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
    }
)


@dataclass(frozen=True, slots=True)
class Scene:
    shape: str
    colour: str
    size: str = "large"
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
        if unseen in (None, scene.unseen):
            return scene
