"""Encoders: models that turn texts and images into vectors. No Ray, no web framework.

Importing this imports no inference library; loading a model imports the one of its backend.
"""

from app.encoders.clip import ClipModel, ImageTower, load_clip_model
from app.encoders.text import TextTower, load_text_model
from app.encoders.weights import Weights, pull, resolve

__all__ = ["ClipModel", "ImageTower", "TextTower", "Weights", "load_clip_model", "load_text_model", "pull", "resolve"]
