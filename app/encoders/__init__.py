"""Encoders: models that turn texts and images into vectors. No Ray, no web framework.

Importing this imports no inference library; loading a model imports the one of its backend. The names below are
imported when they are asked for: `python -m app pull` needs no tokenizer.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.encoders.clip import ClipModel, ImageModel, load_clip_model
    from app.encoders.text import TextModel, load_text_model
    from app.encoders.weights import Weights, pull, resolve

__all__ = ["ClipModel", "ImageModel", "TextModel", "Weights", "load_clip_model", "load_text_model", "pull", "resolve"]

_HOMES = {"clip": ("ClipModel", "ImageModel", "load_clip_model"), "text": ("TextModel", "load_text_model")}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = next((module for module, names in _HOMES.items() if name in names), "weights")
    return getattr(import_module(f"{__name__}.{home}"), name)
